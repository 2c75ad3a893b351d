/**
 * The page's side of the stand-in: owns the real RTCPeerConnections, because only windows have
 * them, and does what the worker says. It decides nothing except the end: when the port's owner
 * is gone, every connection made for it is closed.
 */
import { firstOfferedChannel, type ChannelState, type FromHost, type ToHost } from './messages.ts';

/** The worker hears of sent bytes in steps of this size, not for every 16 KiB message. */
const reportEveryBytes = 128 * 1024;

export interface RtcHost {
  /** Closes every connection made over this port and the port itself. */
  readonly close: () => void;
}

/** @param constructed called for every RTCPeerConnection made; Chrome allows 500 a process. */
export function hostRtc(port: MessagePort, constructed: () => number): RtcHost {
  const connections = new Map<number, RTCPeerConnection>();
  const channels = new Map<number, RTCDataChannel>();
  const certificates = new Map<number, RTCCertificate>();
  const unreported = new Map<number, number>();
  let nextOffered = firstOfferedChannel;
  let used = 0;

  const post = (message: FromHost, transfer: Transferable[] = []): void =>
    port.postMessage(message, transfer);

  const stateOf = (id: number, channel: RTCDataChannel): ChannelState => {
    const sentBytes = unreported.get(id) ?? 0;
    unreported.delete(id);
    const { readyState, bufferedAmount } = channel;
    return { readyState, channelId: channel.id, bufferedAmount, sentBytes };
  };

  const bind = (id: number, channel: RTCDataChannel): void => {
    channel.binaryType = 'arraybuffer';
    channels.set(id, channel);
    channel.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      if (data instanceof ArrayBuffer) post({ kind: 'message', channel: id, data }, [data]);
    };
    for (const event of ['open', 'closing', 'close', 'error', 'bufferedamountlow'] as const) {
      channel.addEventListener(event, () => {
        post({ kind: 'channel', channel: id, event, state: stateOf(id, channel) });
        if (event === 'close') channels.delete(id);
      });
    }
  };

  const create = (message: Extract<ToHost, { op: 'create' }>): void => {
    const own = message.certificateIds.flatMap((id) => certificates.get(id) ?? []);
    const connection = new RTCPeerConnection({
      iceServers: [...message.iceServers],
      ...(own.length > 0 ? { certificates: own } : {}),
    });
    connections.set(message.id, connection);
    used = constructed();
    post({ kind: 'count', used, open: connections.size });
    const { id } = message;
    connection.onconnectionstatechange = () =>
      post({ kind: 'connectionState', id, state: connection.connectionState });
    connection.onicecandidate = ({ candidate }) =>
      post({ kind: 'candidate', id, candidate: candidate?.toJSON() ?? null });
    connection.ondatachannel = ({ channel }) => {
      const offered = nextOffered++;
      bind(offered, channel);
      const { label, protocol } = channel;
      post({
        kind: 'channelOffered',
        id,
        channel: offered,
        label,
        protocol,
        state: stateOf(offered, channel),
      });
    };
  };

  const connectionOf = (id: number): RTCPeerConnection => {
    const connection = connections.get(id);
    if (connection === undefined) throw new DOMException('closed', 'InvalidStateError');
    return connection;
  };

  const perform = async (message: ToHost): Promise<unknown> => {
    switch (message.op) {
      case 'ping':
        return null;
      case 'generateCertificate': {
        const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
        certificates.set(message.id, await RTCPeerConnection.generateCertificate(algorithm));
        return null;
      }
      case 'create':
        return create(message);
      case 'createDataChannel': {
        const { channel, label, options } = message;
        return bind(channel, connectionOf(message.id).createDataChannel(label, options));
      }
      case 'createOffer':
      case 'createAnswer': {
        const made = await connectionOf(message.id)[message.op]();
        return { type: made.type, sdp: made.sdp };
      }
      case 'setLocalDescription': {
        const connection = connectionOf(message.id);
        await connection.setLocalDescription(message.description ?? undefined);
        const set = connection.localDescription;
        return set === null ? null : { type: set.type, sdp: set.sdp };
      }
      case 'setRemoteDescription':
        return connectionOf(message.id).setRemoteDescription(message.description);
      case 'addIceCandidate':
        return connectionOf(message.id).addIceCandidate(message.candidate ?? undefined);
      case 'close':
        connections.get(message.id)?.close();
        connections.delete(message.id);
        post({ kind: 'count', used, open: connections.size });
        return null;
      case 'sendOnChannel': {
        const channel = channels.get(message.channel);
        if (channel === undefined || channel.readyState !== 'open') return null;
        channel.send(message.data);
        const sentBytes = (unreported.get(message.channel) ?? 0) + message.data.byteLength;
        unreported.set(message.channel, sentBytes);
        if (sentBytes >= reportEveryBytes) {
          post({
            kind: 'sent',
            channel: message.channel,
            state: stateOf(message.channel, channel),
          });
        }
        return null;
      }
      case 'lowThreshold': {
        const channel = channels.get(message.channel);
        if (channel !== undefined) channel.bufferedAmountLowThreshold = message.bytes;
        return null;
      }
      case 'closeChannel':
        channels.get(message.channel)?.close();
        return null;
    }
  };

  port.onmessage = ({ data }: MessageEvent<ToHost>) => {
    void perform(data).then(
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
    for (const connection of connections.values()) connection.close();
    connections.clear();
    channels.clear();
    port.close();
  };
  // The worker has let go: nobody would ever close what was made for it.
  port.addEventListener('close', close);
  return { close };
}
