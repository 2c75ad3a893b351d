/** An adult that fails on demand: a wrapper around its handler of the data protocol. */
import { decodeNodeReply, encodeNodeReply } from '#roles/wire/node-requests.ts';

/** `off` gives no answer, `lie` returns altered bytes. */
export type AdultMode = 'ok' | 'off' | 'lie';

export const isAdultMode = (mode: unknown): mode is AdultMode =>
  mode === 'ok' || mode === 'off' || mode === 'lie';

export interface FaultyAdult<Rest extends readonly unknown[]> {
  readonly handle: (request: Uint8Array, ...rest: Rest) => Promise<Uint8Array>;
  readonly setMode: (mode: AdultMode) => void;
}

export function faultyAdult<Rest extends readonly unknown[]>(
  handle: FaultyAdult<Rest>['handle'],
): FaultyAdult<Rest> {
  let mode: AdultMode = 'ok';
  return {
    handle: async (request, ...rest) => {
      if (mode === 'off') throw new Error('switched off for a test');
      const reply = await handle(request, ...rest);
      return mode === 'lie' ? withAlteredBytes(reply) : reply;
    },
    setMode: (next) => {
      mode = next;
    },
  };
}

function withAlteredBytes(bytes: Uint8Array): Uint8Array {
  const reply = decodeNodeReply(bytes);
  if (!reply.ok) return bytes;
  switch (reply.value.kind) {
    case 'chunk':
      return encodeNodeReply({ kind: 'chunk', bytes: altered(reply.value.bytes) });
    case 'pointer':
      return encodeNodeReply({ kind: 'pointer', record: altered(reply.value.record) });
    default:
      return bytes;
  }
}

function altered(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const middle = copy.length >> 1;
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}
