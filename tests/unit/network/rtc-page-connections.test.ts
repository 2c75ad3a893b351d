/**
 * Goal: a worker's connection works through the page that hosts it: calls and their refusal, channels, the
 * progress of sent bytes, and the end.
 * Method: the proxy and the host over one MessagePort; the page's WebRTC is scripted.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { hostRtc, type RtcHost } from '#network/rtc/page-connections.ts';
import {
  attachRtcHost,
  detachRtcHost,
  installRtcProxy,
  rtcOpen,
  rtcUsed,
} from '#network/rtc/worker-proxy.ts';

installRtcProxy();
const WorkerConnection = globalThis.RTCPeerConnection;

class PageChannel extends EventTarget {
  onmessage?: (event: MessageEvent) => void;
  readyState = 'connecting';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  readonly id = 1;
  readonly sent: ArrayBuffer[] = [];
  readonly label: string;
  readonly protocol = 'safe';

  constructor(label: string) {
    super();
    this.label = label;
  }

  become(state: 'open' | 'closed', event: 'open' | 'close'): void {
    this.readyState = state;
    this.dispatchEvent(new Event(event));
  }

  send(data: ArrayBuffer): void {
    this.sent.push(data);
  }

  close(): void {
    this.become('closed', 'close');
  }
}

class PageConnection {
  static readonly all: PageConnection[] = [];
  ondatachannel?: (event: { readonly channel: PageChannel }) => void;
  readonly channels: PageChannel[] = [];
  isClosed = false;

  constructor() {
    PageConnection.all.push(this);
  }

  createDataChannel(label: string): PageChannel {
    const channel = new PageChannel(label);
    this.channels.push(channel);
    return channel;
  }

  async createOffer(): Promise<RTCSessionDescriptionInit> {
    return { type: 'offer', sdp: 'v=0' };
  }

  async createAnswer(): Promise<never> {
    throw new DOMException('no offer', 'InvalidStateError');
  }

  close(): void {
    this.isClosed = true;
  }
}

let host: RtcHost;
let used = 0;
beforeEach(() => {
  const { port1, port2 } = new MessageChannel();
  vi.stubGlobal('RTCPeerConnection', PageConnection);
  PageConnection.all.splice(0);
  used = 7;
  host = hostRtc(port2, () => ++used);
  attachRtcHost(port1, used);
});
afterEach(() => {
  detachRtcHost();
  host.close();
  vi.unstubAllGlobals();
});

async function open(): Promise<readonly [RTCPeerConnection, PageConnection]> {
  const connection = new WorkerConnection();
  await vi.waitFor(() => expect(PageConnection.all).toHaveLength(1));
  return [connection, PageConnection.all[0] as PageConnection];
}

test('calls are answered or refused by the page’s connection, which is counted and closed', async () => {
  const [connection, page] = await open();
  expect(await connection.createOffer()).toEqual({ type: 'offer', sdp: 'v=0' });
  await expect(connection.createAnswer()).rejects.toThrow('no offer');
  expect([rtcUsed(), rtcOpen()]).toEqual([8, 1]);
  connection.close();
  await vi.waitFor(() => expect(rtcOpen()).toBe(0));
  expect(page.isClosed).toBe(true);
  await expect(connection.createOffer()).rejects.toThrow('closed');
});

test('a channel carries bytes both ways; sent ones count until the page has reported them', async () => {
  const [connection, page] = await open();
  const channel = connection.createDataChannel('requests');
  await vi.waitFor(() => expect(page.channels).toHaveLength(1));
  const real = page.channels[0] as PageChannel;
  real.become('open', 'open');
  await vi.waitFor(() => expect(channel.readyState).toBe('open'));

  channel.bufferedAmountLowThreshold = 5;
  channel.send(new Uint8Array(100 * 1024));
  await vi.waitFor(() => expect(real.sent).toHaveLength(1));
  expect(real.bufferedAmountLowThreshold).toBe(5);
  expect(channel.bufferedAmount).toBe(100 * 1024);
  channel.send(new Uint8Array(28 * 1024));
  await vi.waitFor(() => expect(channel.bufferedAmount).toBe(0));
  expect(real.sent.map(({ byteLength }) => byteLength)).toEqual([100 * 1024, 28 * 1024]);

  const received = new Promise<MessageEvent>((go) => (channel.onmessage = go));
  real.onmessage?.(new MessageEvent('message', { data: new ArrayBuffer(3) }));
  expect((await received).data).toEqual(new ArrayBuffer(3));
  channel.close();
  await vi.waitFor(() => expect(channel.readyState).toBe('closed'));
});

test('a channel that the remote opens reaches the worker with its state', async () => {
  const [connection, page] = await open();
  const offered = new Promise<RTCDataChannel>((go) => {
    connection.ondatachannel = (event) => go(event.channel);
  });
  const real = new PageChannel('remote');
  real.readyState = 'open';
  page.ondatachannel?.({ channel: real });
  const channel = await offered;
  expect([channel.label, channel.protocol, channel.readyState]).toEqual(['remote', 'safe', 'open']);
  channel.send(new Uint8Array(4));
  await vi.waitFor(() => expect(real.sent).toHaveLength(1));
});
