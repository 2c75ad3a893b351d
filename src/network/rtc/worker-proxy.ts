/**
 * RTCPeerConnection for a service worker: the API surface that `@libp2p/webrtc` uses, forwarded to a page
 * over a MessagePort. The package is unmodified; load this module and call {@link installRtcProxy} before
 * it, because it reads the globals when it loads.
 */
import type {
  Candidate,
  ChannelOptions,
  ChannelReadyState,
  ChannelState,
  ConnectionState,
  Description,
  FromHost,
  IceServer,
  SdpType,
  ToHost,
} from './messages.ts';

/** A page that does not answer within this time is considered gone. */
const callTimeoutMs = 10_000;

interface HostLink {
  readonly port: MessagePort;
  readonly calls: Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >;
  readonly connections: Map<number, ConnectionProxy>;
  readonly channels: Map<number, ChannelProxy>;
}

let link: HostLink | undefined;
let nextId = 1;
let used = 0;
let open = 0;

/** True while a page hosts connections for this worker. */
export const hasRtcHost = (): boolean => link !== undefined;

/** RTCPeerConnections the hosting tab has made since it was opened. */
export const rtcUsed = (): number => used;

/** This worker's connections that the page holds open. */
export const rtcOpen = (): number => open;

/** Uses the port a page offered; connections of the previous host are reported as closed. */
export function attachRtcHost(port: MessagePort, alreadyUsed: number): void {
  detachRtcHost();
  used = alreadyUsed;
  open = 0;
  const fresh: HostLink = { port, calls: new Map(), connections: new Map(), channels: new Map() };
  link = fresh;
  port.onmessage = ({ data }: MessageEvent<FromHost>) => receive(fresh, data);
  port.start();
}

/** The host is gone: every connection it owned has failed. */
export function detachRtcHost(): void {
  const gone = link;
  if (gone === undefined) return;
  link = undefined;
  for (const { reject } of gone.calls.values()) reject(pageGoneError());
  for (const channel of gone.channels.values()) channel.lost();
  for (const connection of gone.connections.values()) connection.stateChanged('failed');
  gone.port.close();
}

/** Is the page still there? Resolves to `false` after two seconds without an answer. */
export async function probeRtcHost(withinMs = 2_000): Promise<boolean> {
  const probed = link;
  if (probed === undefined) return false;
  const timeout = new Promise<boolean>((answer) => setTimeout(() => answer(false), withinMs));
  return Promise.race([
    call(probed, { op: 'ping' }).then(
      () => true,
      () => false,
    ),
    timeout,
  ]);
}

export function installRtcProxy(): void {
  Object.assign(globalThis, {
    RTCPeerConnection: ConnectionProxy,
    RTCSessionDescription: DescriptionProxy,
    RTCIceCandidate: CandidateProxy,
  });
}

type Call = {
  [Op in ToHost as Op['op']]: Op extends { call: number } ? Omit<Op, 'call'> : never;
}[ToHost['op']];

function call(to: HostLink, message: Call): Promise<unknown> {
  const id = nextId++;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(() => reject(pageGoneError())), callTimeoutMs);
    const settle = (then: () => void): void => {
      clearTimeout(timer);
      to.calls.delete(id);
      then();
    };
    to.calls.set(id, {
      resolve: (value) => settle(() => resolve(value)),
      reject: (error) => settle(() => reject(error)),
    });
    to.port.postMessage({ ...message, call: id });
  });
}

function receive(from: HostLink, message: FromHost): void {
  switch (message.kind) {
    case 'answered':
      return from.calls.get(message.call)?.resolve(message.value);
    case 'refused':
      return from.calls.get(message.call)?.reject(new DOMException(message.message, message.name));
    case 'count':
      used = message.used;
      open = message.open;
      return;
    case 'connectionState':
      return from.connections.get(message.id)?.stateChanged(message.state);
    case 'candidate':
      return from.connections.get(message.id)?.candidateFound(message.candidate);
    case 'channelOffered':
      return from.connections.get(message.id)?.channelOffered(message);
    case 'channel':
      return from.channels.get(message.channel)?.changed(message.event, message.state);
    case 'sent':
      return from.channels.get(message.channel)?.sent(message.state);
    case 'message':
      return from.channels.get(message.channel)?.received(message.data);
  }
}

const pageGoneError = (): Error =>
  new DOMException('the page that held the connection is gone', 'NetworkError');

/** An EventTarget that also calls its `on…` properties, as in the DOM. */
class ProxyEventTarget extends EventTarget {
  protected fire(event: Event): void {
    const handler: unknown = Reflect.get(this, `on${event.type}`);
    if (typeof handler === 'function') handler.call(this, event);
    this.dispatchEvent(event);
  }
}

class ChannelProxy extends ProxyEventTarget {
  readonly label: string;
  readonly protocol: string;
  binaryType = 'arraybuffer';
  readyState: ChannelReadyState = 'connecting';
  id: number | null = null;
  bufferedAmount = 0;
  readonly #link: HostLink;
  readonly #key: number;
  #lowThreshold = 0;
  /** Posted to the page and not yet in its buffer: included, or a sender would never pause. */
  #underWay = 0;

  constructor(owner: HostLink, key: number, label: string, protocol: string, state?: ChannelState) {
    super();
    this.#link = owner;
    this.#key = key;
    this.label = label;
    this.protocol = protocol;
    if (state !== undefined) this.#take(state);
    owner.channels.set(key, this);
  }

  get bufferedAmountLowThreshold(): number {
    return this.#lowThreshold;
  }

  set bufferedAmountLowThreshold(bytes: number) {
    this.#lowThreshold = bytes;
    this.#post({ op: 'lowThreshold', channel: this.#key, bytes });
  }

  send(data: ArrayBuffer | ArrayBufferView<ArrayBuffer>): void {
    if (this.readyState !== 'open')
      throw new DOMException('channel is not open', 'InvalidStateError');
    const copy =
      data instanceof ArrayBuffer
        ? data.slice(0)
        : data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
    this.#underWay += copy.byteLength;
    this.bufferedAmount += copy.byteLength;
    this.#link.port.postMessage({ op: 'sendOnChannel', channel: this.#key, data: copy }, [copy]);
  }

  close(): void {
    if (this.readyState === 'closed') return;
    this.readyState = 'closing';
    this.#post({ op: 'closeChannel', channel: this.#key });
  }

  changed(event: string, state: ChannelState): void {
    this.#take(state);
    if (event === 'close') this.#link.channels.delete(this.#key);
    // Bytes in transit will refill the buffer, so another `bufferedamountlow` follows.
    if (event === 'bufferedamountlow' && this.bufferedAmount > this.#lowThreshold) return;
    this.fire(new Event(event));
  }

  sent(state: ChannelState): void {
    this.#take(state);
  }

  received(data: ArrayBuffer): void {
    this.fire(new MessageEvent('message', { data }));
  }

  lost(): void {
    this.readyState = 'closed';
    this.fire(new Event('close'));
  }

  #take(state: ChannelState): void {
    this.readyState = state.readyState;
    this.id = state.channelId;
    this.#underWay -= state.sentBytes;
    this.bufferedAmount = this.#underWay + state.bufferedAmount;
  }

  #post(message: ToHost): void {
    this.#link.port.postMessage(message);
  }
}

interface Configuration {
  readonly iceServers?: readonly IceServer[];
  readonly certificates?: readonly { readonly proxyId: number }[];
}

class ConnectionProxy extends ProxyEventTarget {
  connectionState: ConnectionState = 'new';
  iceConnectionState = 'new';
  signalingState = 'stable';
  localDescription: Description | null = null;
  remoteDescription: Description | null = null;
  readonly #link: HostLink;
  readonly #id: number;

  constructor(configuration?: Configuration) {
    super();
    if (link === undefined) throw pageGoneError();
    this.#link = link;
    this.#id = nextId++;
    this.#link.connections.set(this.#id, this);
    const certificates = configuration?.certificates ?? [];
    this.#post({
      op: 'create',
      id: this.#id,
      iceServers: (configuration?.iceServers ?? []).map(({ urls }) => ({ urls })),
      certificateIds: certificates.map(({ proxyId }) => proxyId),
    });
  }

  static async generateCertificate(): Promise<{ proxyId: number }> {
    if (link === undefined) throw pageGoneError();
    const id = nextId++;
    await call(link, { op: 'generateCertificate', id });
    return { proxyId: id };
  }

  createDataChannel(label: string, options: ChannelOptions = {}): ChannelProxy {
    const channel = nextId++;
    const made = new ChannelProxy(this.#link, channel, label, options.protocol ?? '');
    this.#post({ op: 'createDataChannel', id: this.#id, channel, label, options: { ...options } });
    return made;
  }

  createOffer(): Promise<unknown> {
    return call(this.#link, { op: 'createOffer', id: this.#id });
  }

  createAnswer(): Promise<unknown> {
    return call(this.#link, { op: 'createAnswer', id: this.#id });
  }

  async setLocalDescription(description?: Description): Promise<void> {
    const plain =
      description === undefined ? null : { type: description.type, sdp: description.sdp };
    const set = await call(this.#link, {
      op: 'setLocalDescription',
      id: this.#id,
      description: plain,
    });
    this.localDescription = set as Description | null;
  }

  async setRemoteDescription(description: Description): Promise<void> {
    const plain = { type: description.type, sdp: description.sdp };
    await call(this.#link, { op: 'setRemoteDescription', id: this.#id, description: plain });
    this.remoteDescription = plain;
  }

  async addIceCandidate(candidate?: Candidate | null): Promise<void> {
    const plain = candidate === undefined || candidate === null ? null : { ...candidate };
    await call(this.#link, { op: 'addIceCandidate', id: this.#id, candidate: plain });
  }

  close(): void {
    if (this.connectionState === 'closed') return;
    this.connectionState = 'closed';
    this.#post({ op: 'close', id: this.#id });
    this.#link.connections.delete(this.#id);
  }

  stateChanged(state: ConnectionState): void {
    if (this.connectionState === 'closed') return;
    this.connectionState = state;
    this.fire(new Event('connectionstatechange'));
  }

  candidateFound(candidate: Candidate | null): void {
    const event = new Event('icecandidate');
    const value = candidate === null ? null : new CandidateProxy(candidate);
    this.fire(Object.assign(event, { candidate: value }));
  }

  channelOffered(offer: Extract<FromHost, { kind: 'channelOffered' }>): void {
    const { channel: key, label, protocol, state } = offer;
    const channel = new ChannelProxy(this.#link, key, label, protocol, state);
    this.fire(Object.assign(new Event('datachannel'), { channel }));
  }

  #post(message: ToHost): void {
    this.#link.port.postMessage(message);
  }
}

class DescriptionProxy {
  readonly type: SdpType;
  readonly sdp: string;

  constructor(init: Description) {
    this.type = init.type;
    this.sdp = init.sdp;
  }
}

class CandidateProxy {
  candidate = '';
  sdpMid: string | null = null;
  sdpMLineIndex: number | null = null;
  usernameFragment: string | null = null;

  constructor(init: Candidate) {
    Object.assign(this, init);
  }

  toJSON(): Candidate {
    return { ...this };
  }
}
