/**
 * The door of the client protocol, for elders and the bootstrap node: decodes, bounds the work per
 * peer, counts, and answers with a refusal instead of dying.
 */
import type { Refusal } from '#core/refusal.ts';
import {
  decodeClientRequest,
  encodeClientReply,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** Twice the window of one stream: a peer with several streams gets no more than others. */
const maxPerPeer = 32;
/** Each may hold 1 MiB: 256 MiB at the most. */
const maxTogether = 256;
const busyForMs = 500;

export interface DoorOptions {
  readonly label: string;
  readonly answer: (request: ClientRequest) => Promise<ClientReply>;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** @returns the handler of the client protocol; it never rejects. */
export function createClientDoor(
  options: DoorOptions,
): (bytes: Uint8Array, from: { readonly peerId: string }) => Promise<Uint8Array> {
  const runningByPeer = new Map<string, number>();
  let running = 0;

  return async (bytes, { peerId }) => {
    const request = decodeClientRequest(bytes);
    if (!request.ok) {
      options.metrics.count('safe_client_requests_total', 'malformed');
      return encodeClientReply(refused({ kind: 'malformed', what: 'request' }));
    }
    const { kind } = request.value;
    options.metrics.count('safe_client_requests_total', kind);
    const ofPeer = runningByPeer.get(peerId) ?? 0;
    if (ofPeer >= maxPerPeer || running >= maxTogether) {
      options.metrics.count('safe_client_refusals_total', 'busy');
      return encodeClientReply(refused({ kind: 'busy', afterMs: busyForMs }));
    }
    running += 1;
    runningByPeer.set(peerId, ofPeer + 1);
    try {
      const reply = await options.answer(request.value);
      if (reply.kind === 'refused') {
        options.metrics.count('safe_client_refusals_total', reply.refusal.kind);
      }
      return encodeClientReply(reply);
    } catch (error) {
      options.log.write({
        event: 'requestFailed',
        node: options.label,
        kind,
        error: String(error),
      });
      return encodeClientReply(refused({ kind: 'busy', afterMs: 4 * busyForMs }));
    } finally {
      running -= 1;
      const left = (runningByPeer.get(peerId) ?? 1) - 1;
      if (left > 0) runningByPeer.set(peerId, left);
      else runningByPeer.delete(peerId);
    }
  };
}

export const refused = (refusal: Refusal): ClientReply => ({ kind: 'refused', refusal });
