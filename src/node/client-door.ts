/**
 * The door of the client protocol, for elders and the bootstrap node: decodes, bounds the work per
 * peer, counts, and answers with a refusal instead of dying.
 */
import type { Refusal } from '#core/refusal.ts';
import {
  decodeDoorRequest,
  encodeClientReply,
  type ClientReply,
  type ClientRequest,
  type Cover,
} from '#roles/wire/client.ts';
import type { Remote } from '#network/node-host.ts';
import { openUnder, proofFor, type UnderView } from '#roles/wire/under.ts';
import { createGate, type Gate } from './gate.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

const failedForMs = 2_000;

export interface DoorOptions {
  readonly label: string;
  /** @param invalid called when no program of ours would have sent this; a refusal does not say so. */
  readonly answer: (request: ClientRequest, invalid: () => void) => Promise<ClientReply>;
  /** What this node knows of the sections; null while it knows none. */
  readonly view?: () => UnderView | null;
  /** Encoded address records of these nodes. */
  readonly records?: (names: readonly Uint8Array[]) => readonly Uint8Array[];
  readonly log: Log;
  readonly metrics: Metrics;
  /** Shared with the node's section work; a door alone has its own. */
  readonly gate?: Gate;
}

export type ClientFrom = Pick<Remote, 'peerId' | 'address' | 'invalid'>;

/** @returns the handler of the client protocol; it never rejects. */
export function createClientDoor(
  options: DoorOptions,
): (bytes: Uint8Array, from: ClientFrom) => Promise<Uint8Array> {
  const { metrics } = options;
  const gate = options.gate ?? createGate(metrics);

  return async (bytes, from) => {
    let kind = 'unread';
    // The size is known before anything is decoded: whom the gate turns away costs no more than that.
    const answered = await gate.enter('client', from, bytes.length, async () => {
      const request = decodeDoorRequest(bytes);
      kind = request.ok ? request.value.kind : 'malformed';
      metrics.count('safe_client_requests_total', kind);
      if (!request.ok) return refused({ kind: 'malformed', what: 'request' });
      metrics.count('safe_bytes_in_total', `client/${kind}`, bytes.length);
      try {
        return await answerCovered(options, request.value, from.invalid);
      } catch (error) {
        options.log.write({
          event: 'requestFailed',
          node: options.label,
          kind,
          error: String(error),
        });
        return refused({ kind: 'busy', afterMs: failedForMs });
      }
    });
    const reply = answered.ok ? answered.value : refused(answered.error);
    if (reply.kind === 'refused') {
      // Also what is malformed inside of a request: none of our programs sends it.
      if (reply.refusal.kind === 'malformed') from.invalid();
      metrics.count('safe_client_refusals_total', reply.refusal.kind);
    }
    const encoded = encodeClientReply(reply);
    metrics.count('safe_bytes_out_total', `client/${kind}`, encoded.length);
    return encoded;
  };
}

/** Looks at the cover first: whether name and key are ours costs no work of the elder's (N30). */
async function answerCovered(
  { answer, view, records }: DoorOptions,
  request: ClientRequest | Cover,
  invalid: () => void,
): Promise<ClientReply> {
  if (request.kind !== 'under' && request.kind !== 'section') return answer(request, invalid);
  const known = view?.() ?? null;
  if (known === null) return refused({ kind: 'busy', afterMs: failedForMs });
  if (request.kind === 'section') {
    const { proof, elders } = proofFor(known, request.name, request.from);
    return { kind: 'proof', proof, records: records?.(elders) ?? [] };
  }
  const opened = openUnder(known, request);
  return opened.ok ? answer(opened.value, invalid) : refused(opened.error);
}

export const refused = (refusal: Refusal): ClientReply => ({ kind: 'refused', refusal });
