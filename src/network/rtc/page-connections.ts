/**
 * The page's side of the RTC proxy: owns the real RTCPeerConnections, because only windows have them, and
 * executes the worker's calls. It decides only the end: when the port's owner is gone, it closes every
 * connection made for it.
 */
import { firstOfferedChannel, type ChannelState, type FromHost, type ToHost } from './messages.ts';

/** Sent bytes are reported to the worker in steps of this size, not for every 16 KiB message. */
const reportEveryBytes = 128 * 1024;

export interface RtcHost {
  /** Closes every connection made over this port and the port itself. */
  readonly close: () => void;
}

type Post = (message: FromHost, transfer?: Transferable[]) => void;

/** @param constructed called for every new RTCPeerConnection; Chrome allows 500 per process. */
export function hostRtc(port: MessagePort, constructed: () => number): RtcHost {
  const post: Post = (message, transfer = []) => port.postMessage(message, transfer);
  const channels = new Channels(post);
  const connections = new Connections(post, channels, constructed);
  const certificates = new Map<number, RTCCertificate>();

  port.onmessage = ({ data }: MessageEvent<ToHost>) => {
    void perform({ connections, channels, certificates }, data).then(
      (value) => {
        if ('call' in data) post({ kind: 'answered', call: data.call, value });
      },
      (error: unknown) => {
        const { name, message } = error instanceof Error ? error : new Error(String(error));
        if ('call' in data) post({ kind: 'refused', call: data.call, name, message });
        else if ('id' in data) post({ kind: 'connectionState', id: data.id, state: 'failed' });
      },
    );
  };

  const close = (): void => {
    connections.closeAll();
    channels.clear();
    port.close();
  };
  // The worker has closed the port: only the page can still close its connections.
  port.addEventListener('close', close);
  return { close };
}

interface Hosted {
  readonly connections: Connections;
  readonly channels: Channels;
  readonly certificates: Map<number, RTCCertificate>;
}

/** @returns what the worker receives if it waits for an answer. */
async function perform(
  { connections, channels, certificates }: Hosted,
  message: ToHost,
): Promise<unknown> {
  switch (message.op) {
    case 'ping':
      return null;
    case 'generateCertificate': {
      const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
      certificates.set(message.id, await RTCPeerConnection.generateCertificate(algorithm));
      return null;
    }
    case 'create': {
      const own = message.certificateIds.flatMap((id) => certificates.get(id) ?? []);
      return connections.create(message.id, {
        iceServers: [...message.iceServers],
        ...(own.length > 0 ? { certificates: own } : {}),
      });
    }
    case 'createDataChannel': {
      const { channel, label, options } = message;
      return channels.bind(channel, connections.get(message.id).createDataChannel(label, options));
    }
    case 'createOffer':
    case 'createAnswer': {
      const made = await connections.get(message.id)[message.op]();
      return { type: made.type, sdp: made.sdp };
    }
    case 'setLocalDescription': {
      const connection = connections.get(message.id);
      await connection.setLocalDescription(message.description ?? undefined);
      const set = connection.localDescription;
      return set === null ? null : { type: set.type, sdp: set.sdp };
    }
    case 'setRemoteDescription':
      return connections.get(message.id).setRemoteDescription(message.description);
    case 'addIceCandidate':
      return connections.get(message.id).addIceCandidate(message.candidate ?? undefined);
    case 'close':
      return connections.close(message.id);
    case 'sendOnChannel':
      return channels.send(message.channel, message.data);
    case 'lowThreshold':
      return channels.setLowThreshold(message.channel, message.bytes);
    case 'closeChannel':
      return channels.close(message.channel);
  }
}

class Connections {
  readonly #post: Post;
  readonly #channels: Channels;
  readonly #constructed: () => number;
  readonly #open = new Map<number, RTCPeerConnection>();
  #nextOffered = firstOfferedChannel;
  #used = 0;

  constructor(post: Post, channels: Channels, constructed: () => number) {
    this.#post = post;
    this.#channels = channels;
    this.#constructed = constructed;
  }

  get(id: number): RTCPeerConnection {
    const connection = this.#open.get(id);
    if (connection === undefined) throw new DOMException('closed', 'InvalidStateError');
    return connection;
  }

  create(id: number, configuration: RTCConfiguration): void {
    const connection = new RTCPeerConnection(configuration);
    this.#open.set(id, connection);
    this.#used = this.#constructed();
    this.#postCount();
    connection.onconnectionstatechange = () =>
      this.#post({ kind: 'connectionState', id, state: connection.connectionState });
    connection.onicecandidate = ({ candidate }) =>
      this.#post({ kind: 'candidate', id, candidate: candidate?.toJSON() ?? null });
    connection.ondatachannel = ({ channel }) => {
      const offered = this.#nextOffered++;
      this.#channels.bind(offered, channel);
      const { label, protocol } = channel;
      const state = this.#channels.stateOf(offered, channel);
      this.#post({ kind: 'channelOffered', id, channel: offered, label, protocol, state });
    };
  }

  close(id: number): void {
    this.#open.get(id)?.close();
    this.#open.delete(id);
    this.#postCount();
  }

  closeAll(): void {
    for (const connection of this.#open.values()) connection.close();
    this.#open.clear();
  }

  #postCount(): void {
    this.#post({ kind: 'count', used: this.#used, open: this.#open.size });
  }
}

class Channels {
  readonly #post: Post;
  readonly #open = new Map<number, RTCDataChannel>();
  /** Bytes sent since the last report, by channel. */
  readonly #unreported = new Map<number, number>();

  constructor(post: Post) {
    this.#post = post;
  }

  bind(id: number, channel: RTCDataChannel): void {
    channel.binaryType = 'arraybuffer';
    this.#open.set(id, channel);
    channel.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      if (data instanceof ArrayBuffer) this.#post({ kind: 'message', channel: id, data }, [data]);
    };
    for (const event of ['open', 'closing', 'close', 'error', 'bufferedamountlow'] as const) {
      channel.addEventListener(event, () => {
        this.#post({ kind: 'channel', channel: id, event, state: this.stateOf(id, channel) });
        if (event === 'close') this.#open.delete(id);
      });
    }
  }

  /** The state for a report, which includes the unreported bytes. */
  stateOf(id: number, { id: channelId, readyState, bufferedAmount }: RTCDataChannel): ChannelState {
    const sentBytes = this.#unreported.get(id) ?? 0;
    this.#unreported.delete(id);
    return { readyState, channelId, bufferedAmount, sentBytes };
  }

  send(id: number, data: ArrayBuffer): void {
    const channel = this.#open.get(id);
    if (channel === undefined || channel.readyState !== 'open') return;
    channel.send(data);
    const sentBytes = (this.#unreported.get(id) ?? 0) + data.byteLength;
    this.#unreported.set(id, sentBytes);
    if (sentBytes < reportEveryBytes) return;
    this.#post({ kind: 'sent', channel: id, state: this.stateOf(id, channel) });
  }

  setLowThreshold(id: number, bytes: number): void {
    const channel = this.#open.get(id);
    if (channel !== undefined) channel.bufferedAmountLowThreshold = bytes;
  }

  close(id: number): void {
    this.#open.get(id)?.close();
  }

  clear(): void {
    this.#open.clear();
  }
}
