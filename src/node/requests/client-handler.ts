/**
 * The request handler of the client protocol, for elders and the bootstrap node: decodes, bounds the
 * work per peer, counts, and answers errors with a refusal.
 */
import type { Refusal } from '#core/refusal.ts';
import type { Result } from '#core/result.ts';
import {
  decodeClientRequest,
  decodeIncomingRequest,
  encodeClientReply,
  type ClientReply,
  type ClientRequest,
  type RoutingRequest,
} from '#roles/wire/client.ts';
import type { Remote } from '#network/node-host.ts';
import { openRouted, proofFor, type RoutingView } from '#roles/wire/routed.ts';
import type { AdmissionControl } from './admission-control.ts';
import type { Log } from '../monitoring/log.ts';
import type { Metrics } from '../monitoring/metrics.ts';

const busyAfterErrorMs = 2_000;

export interface ClientHandlerOptions {
  readonly label: string;
  /** @param invalid called for requests that no program of ours sends; a refusal alone does not show it. */
  readonly answer: (
    request: ClientRequest,
    invalid: () => void,
    peer: string,
  ) => Promise<ClientReply>;
  /** The sections this node knows; null while it knows none. */
  readonly view?: () => RoutingView | null;
  /** Encoded address records of these nodes. */
  readonly records?: (names: readonly Uint8Array[]) => readonly Uint8Array[];
  readonly log: Log;
  readonly metrics: Metrics;
  /** Shared with the node's section work. */
  readonly admission: AdmissionControl;
}

export type ClientPeer = Pick<Remote, 'peerId' | 'address' | 'reportInvalid'>;

/** @returns the handler of the client protocol; it never rejects. */
export function createClientHandler(
  options: ClientHandlerOptions,
): (bytes: Uint8Array, from: ClientPeer) => Promise<Uint8Array> {
  const { metrics, admission } = options;

  return async (bytes, from) => {
    let kind = 'unread';
    // The size is known before decoding: a rejected request costs no more than that.
    const answered = await admission.run('client', from, bytes.length, async () => {
      const request = decodeIncomingRequest(bytes);
      const inner =
        request.ok && request.value.kind === 'routed'
          ? decodeClientRequest(request.value.request)
          : null;
      kind = kindToCount(request, inner);
      metrics.count('safe_client_requests_total', kind);
      if (!request.ok) return refusalReply({ kind: 'malformed', what: 'request' });
      metrics.count('safe_bytes_in_total', `client/${kind}`, bytes.length);
      try {
        return await answerRouted(options, request.value, inner, from);
      } catch (error) {
        options.log.write({
          event: 'requestFailed',
          node: options.label,
          kind,
          error: String(error),
        });
        return refusalReply({ kind: 'busy', afterMs: busyAfterErrorMs });
      }
    });
    const reply = answered.ok ? answered.value : refusalReply(answered.error);
    if (reply.kind === 'refused') {
      // Also for malformed contents: none of our programs sends them.
      if (reply.refusal.kind === 'malformed') from.reportInvalid();
      metrics.count('safe_client_refusals_total', reply.refusal.kind);
    }
    const encoded = encodeClientReply(reply);
    metrics.count('safe_bytes_out_total', `client/${kind}`, encoded.length);
    return encoded;
  };
}

type DecodedInner = ReturnType<typeof decodeClientRequest>;

/** A routed request counts as the request inside, also when it is then redirected or refused. */
function kindToCount(
  request: Result<ClientRequest | RoutingRequest, unknown>,
  inner: DecodedInner | null,
): string {
  if (inner?.ok === true) return inner.value.kind;
  return request.ok ? request.value.kind : 'malformed';
}

/** Checks the routing header first: whether name and key are ours costs the elder no work (N30). */
async function answerRouted(
  { answer, view, records }: ClientHandlerOptions,
  request: ClientRequest | RoutingRequest,
  inner: DecodedInner | null,
  { reportInvalid, peerId }: ClientPeer,
): Promise<ClientReply> {
  if (request.kind !== 'routed' && request.kind !== 'section') {
    return answer(request, reportInvalid, peerId);
  }
  const known = view?.() ?? null;
  if (known === null) return refusalReply({ kind: 'busy', afterMs: busyAfterErrorMs });
  if (request.kind === 'section') {
    const { proof, elders } = proofFor(known, request.name, request.from);
    return { kind: 'proof', proof, records: records?.(elders) ?? [] };
  }
  const opened = openRouted(known, request, inner ?? undefined);
  return opened.ok ? answer(opened.value, reportInvalid, peerId) : refusalReply(opened.error);
}

export const refusalReply = (refusal: Refusal): ClientReply => ({ kind: 'refused', refusal });
