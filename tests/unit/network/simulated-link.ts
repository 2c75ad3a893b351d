/**
 * A link shared by several streams, in simulated time: each direction carries N bytes per second, its
 * streams in turn; a stream buffers 256 KiB beyond the link, like a yamux window.
 */
import type { ByteStream } from '#network/rpc/rpc-stream.ts';

const packetBytes = 16_384;
const windowBytes = 262_144;
const tickMs = 20;

type Listener = (event: never) => void;

interface End extends ByteStream {
  readonly receive: (bytes: Uint8Array) => void;
  readonly queue: Uint8Array[];
  readonly sent: (bytes: number) => void;
}

export interface SimulatedLink {
  /** @returns our end of a new stream, and the other node's end. */
  readonly open: () => readonly [ByteStream, ByteStream];
  /** Bytes carried to the other nodes, and from them. */
  readonly carried: { up: number; down: number };
  readonly stop: () => void;
}

export interface Rates {
  readonly upPerSecond: number;
  readonly downPerSecond: number;
}

/** Must be created after the timers are faked. */
export function createSimulatedLink(rates: Rates): SimulatedLink {
  const ends = { up: new Set<End>(), down: new Set<End>() };
  const carried = { up: 0, down: 0 };
  const credit = { up: 0, down: 0 };
  const turns = { up: 0, down: 0 };

  const makeEnd = (peer: () => End, direction: 'up' | 'down'): End => {
    const listeners = new Map<string, Listener[]>();
    const emit = (type: string, event: unknown = {}): void => {
      for (const listen of listeners.get(type) ?? []) listen(event as never);
    };
    const queue: Uint8Array[] = [];
    let queued = 0;
    let isFull = false;
    let isClosed = false;
    const end: End = {
      queue,
      send: (bytes) => {
        if (isClosed) throw new Error('closed');
        for (let at = 0; at < bytes.length; at += packetBytes) {
          queue.push(bytes.slice(at, at + packetBytes));
        }
        queued += bytes.length;
        isFull = queued > windowBytes;
        return !isFull;
      },
      sent: (bytes) => {
        queued -= bytes;
        if (!isFull || queued > windowBytes) return;
        isFull = false;
        emit('drain');
      },
      receive: (bytes) => {
        if (!isClosed) emit('message', { data: bytes });
      },
      // As libp2p: after one awaited drain, it never waits again.
      onDrain: async () => undefined,
      close: async () => end.abort(new Error('closed')),
      abort: (error) => {
        if (isClosed) return;
        isClosed = true;
        queue.length = 0;
        ends[direction].delete(end);
        emit('close');
        peer().abort(error);
      },
      addEventListener: (type: string, listener: Listener) => {
        listeners.set(type, [...(listeners.get(type) ?? []), listener]);
      },
    } as End & { readonly onDrain: () => Promise<void> };
    ends[direction].add(end);
    return end;
  };

  const carry = (direction: 'up' | 'down', perSecond: number): void => {
    const busy = (): readonly End[] => [...ends[direction]].filter(({ queue }) => queue.length > 0);
    credit[direction] = Math.min(credit[direction], packetBytes) + (perSecond * tickMs) / 1_000;
    for (let each = busy(); each.length > 0 && credit[direction] > 0; each = busy()) {
      const end = each[turns[direction]++ % each.length];
      const packet = end?.queue.shift();
      if (end === undefined || packet === undefined) return;
      credit[direction] -= packet.length;
      carried[direction] += packet.length;
      receiverOf.get(end)?.receive(packet);
      end.sent(packet.length);
    }
  };
  const receiverOf = new Map<End, End>();
  const timer = setInterval(() => {
    carry('up', rates.upPerSecond);
    carry('down', rates.downPerSecond);
  }, tickMs);

  return {
    carried,
    open: () => {
      const ours: End = makeEnd(() => theirs, 'up');
      const theirs: End = makeEnd(() => ours, 'down');
      receiverOf.set(ours, theirs);
      receiverOf.set(theirs, ours);
      return [ours, theirs];
    },
    stop: () => clearInterval(timer),
  };
}
