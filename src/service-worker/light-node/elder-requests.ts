/**
 * Sends the light node's requests to elders: over any transport of the host, under the section key of a
 * name, following redirects (N30, N31). Anti-entropy decides which redirects to follow, to which elders and
 * how often; this file sends bytes, checks proofs, and dials elders. It needs no browser: the client
 * programs of the tests use it, too.
 */
import type { TransportPreference } from '#bridge/worker-messages.ts';
import type { Refusal } from '#core/refusal.ts';
import { err, type Result } from '#core/result.ts';
import { sha256 } from '#crypto/hash.ts';
import type { LightHost } from '#network/light-host.ts';
import { isCongested, type RequestTimeout, type RpcError } from '#network/rpc/rpc-stream.ts';
import {
  decodeProof,
  startRedirects,
  stepRedirects,
  type RedirectState,
  type RedirectEvent,
} from '#protocol/anti-entropy/index.ts';
import type { SectionAuthority, SectionProof } from '#protocol/section/index.ts';
import {
  decodeClientReply,
  encodeClientRequest,
  encodeRoutingRequest,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { syncChain } from '#runtime/sync-chain.ts';
import type { Elder, KnownSections, Section } from './known-sections.ts';
import { countsAsUnresponsive, type ElderHealthTracker } from './elder-health-tracker.ts';

export type ElderRequestError =
  RpcError | { readonly kind: 'refused'; readonly refusal: Refusal } | { readonly kind: 'lie' };

export type ElderReply = Result<Exclude<ClientReply, { kind: 'refused' }>, ElderRequestError>;

type ElderName = Pick<Elder, 'name'>;

export interface ElderRequests {
  readonly ask: (
    elder: ElderName,
    request: ClientRequest,
    timeoutMs: number,
    signal?: AbortSignal,
  ) => Promise<ElderReply>;
  /**
   * Sends a request under the section key of `name`, and follows redirects: after a proven retry or
   * redirect the same bytes are sent on, at most three times, then to three other elders (N30).
   */
  readonly requestFor: (
    name: Uint8Array,
    elder: ElderName,
    request: ClientRequest,
    timeout: RequestTimeout,
    signal?: AbortSignal,
  ) => Promise<ElderReply>;
  /** Reads the elder's chain pages towards a name. @returns whether they ended at an authority. */
  readonly syncChain: (
    elder: ElderName,
    name: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
  ) => Promise<boolean>;
}

export interface ElderRequestsOptions {
  readonly host: Pick<LightHost, 'ask' | 'isBackingOff'>;
  readonly known: Pick<
    KnownSections,
    'addressesOf' | 'verifyAndStore' | 'current' | 'addRecords' | 'tree'
  >;
  readonly elderHealth: Pick<ElderHealthTracker, 'record'>;
  readonly preference: () => TransportPreference;
  /** Waits until a section is known; throws when the network is unreachable. */
  readonly loaded: () => Promise<Section>;
  /** Asks the bootstrap nodes for the current elders. */
  readonly refresh: () => Promise<unknown>;
  /** This elder has answered: its transport is worth remembering. */
  readonly rememberTransport: (elder: Uint8Array) => void;
}

/** The head distinguishes messages; hashing a whole chunk for every elder would cost milliseconds. */
const messageIdBytes = 256;
/** A chain sync ends after this many page timeouts. */
const maxPageTimeouts = 4;

export function createElderRequests(options: ElderRequestsOptions): ElderRequests {
  return {
    ask: (elder, request, timeoutMs, signal) =>
      exchange(options, elder, encodeClientRequest(request), { timeout: timeoutMs, signal }),
    requestFor: (name, elder, request, timeout, signal) =>
      requestFor(options, name, elder, encodeClientRequest(request), { timeout, signal }),
    syncChain: (elder, name, timeoutMs, signal) =>
      syncFrom(options, elder, name, { timeout: timeoutMs, signal }),
  };
}

interface Limit {
  readonly timeout: RequestTimeout;
  readonly signal: AbortSignal | undefined;
}

async function exchange(
  options: ElderRequestsOptions,
  { name }: ElderName,
  bytes: Uint8Array,
  { timeout, signal }: Limit,
): Promise<ElderReply> {
  const { host, known, elderHealth, preference, rememberTransport } = options;
  const addresses = known.addressesOf(name);
  const wasDialled = addresses.length > 0 && !host.isBackingOff(name);
  const reply = await host.ask({ name, addresses }, bytes, timeout, signal);
  if (!reply.ok) {
    const countsForHealth = wasDialled && signal?.aborted !== true;
    if (countsForHealth && countsAsUnresponsive(reply.error, preference()))
      elderHealth.record(name, false);
    return reply;
  }
  const decoded = decodeClientReply(reply.value);
  elderHealth.record(name, decoded.ok);
  if (!decoded.ok) return err({ kind: 'lie' });
  const answer = decoded.value;
  if (answer.kind === 'refused') return err({ kind: 'refused', refusal: answer.refusal });
  rememberTransport(name);
  return { ok: true, value: answer };
}

async function requestFor(
  options: ElderRequestsOptions,
  name: Uint8Array,
  elder: ElderName,
  request: Uint8Array,
  limit: Limit,
): Promise<ElderReply> {
  const { known, loaded, refresh } = options;
  if (known.current(name) === undefined) await loaded();
  const messageId = sha256(request.subarray(0, messageIdBytes));
  let following = startRedirects(known.tree(), name, messageId, elder.name);
  for (;;) {
    const { to, key } = following;
    const generation = known.current(name)?.authority.generation ?? 0n;
    const cover = encodeRoutingRequest({ kind: 'routed', key, generation, request });
    const reply = await exchange(options, { name: to }, cover, limit);
    // Another elder would get the same bytes over the same full link.
    if (!reply.ok && isCongested(reply.error)) return reply;
    // An unresponsive elder may have left: the bootstrap nodes know the current ones.
    if (!reply.ok && reply.error.kind !== 'refused') void refresh();
    const event = eventOf(reply);
    if (event === null || limit.signal?.aborted === true) return reply;
    const next = await nextRedirect(options, following, event, limit);
    if (next === null) return reply;
    following = next;
  }
}

/** Follows redirects until the message should be sent once more; null to give up. */
async function nextRedirect(
  options: ElderRequestsOptions,
  following: RedirectState,
  first: RedirectEvent,
  limit: Limit,
): Promise<RedirectState | null> {
  const { known } = options;
  const isReachable = ({ elders }: SectionAuthority): boolean =>
    elders.every(({ name }) => known.addressesOf(name).length > 0);
  let event = first;
  for (;;) {
    const step = stepRedirects({ tree: known.tree(), isReachable }, following, event);
    switch (step.kind) {
      case 'send':
        return step.state;
      case 'giveUp':
        return null;
      case 'check':
        event = { kind: 'checked', holds: await known.verifyAndStore(step.proof) };
        break;
      case 'readPages':
        await syncFrom(options, { name: following.to }, following.name, limit);
        event = { kind: 'pagesRead' };
    }
  }
}

function syncFrom(
  options: ElderRequestsOptions,
  elder: ElderName,
  name: Uint8Array,
  { timeout, signal }: Limit,
): Promise<boolean> {
  const { known } = options;
  const timeoutMs = typeof timeout === 'number' ? timeout : timeout.idleMs;
  // An elder may send one link per page, so the whole chain sync has a deadline, too.
  const untilMs = Date.now() + maxPageTimeouts * timeoutMs;
  return syncChain(known.tree, name, async (from) => {
    if (signal?.aborted === true || Date.now() >= untilMs) return null;
    const cover = encodeRoutingRequest({ kind: 'section', name, from });
    const reply = await exchange(options, elder, cover, { timeout: timeoutMs, signal });
    if (!reply.ok || reply.value.kind !== 'proof') return null;
    known.addRecords(reply.value.records);
    const proof = decodeProof(reply.value.proof);
    return proof.ok && (await known.verifyAndStore(proof.value)) ? proof.value : null;
  });
}

/** The redirect event of a reply; null for a reply of the responsible section. */
function eventOf(reply: ElderReply): RedirectEvent | null {
  if (reply.ok) return null;
  if (reply.error.kind !== 'refused') return { kind: 'unresponsive' };
  const { refusal } = reply.error;
  if (refusal.kind !== 'retry' && refusal.kind !== 'redirect') return null;
  return { kind: 'refused', proof: proofIn(refusal.proof) };
}

function proofIn(bytes: Uint8Array): SectionProof | null {
  const proof = decodeProof(bytes);
  return proof.ok ? proof.value : null;
}
