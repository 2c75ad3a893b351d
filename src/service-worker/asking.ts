/**
 * How the light node asks elders: over whichever road the host has, under the key that answers for a
 * name, and on as anti-entropy says (N30, N31). What is followed, to whom and how often is decided
 * there; here bytes are sent, proofs are checked, and elders are dialled. Nothing here needs a
 * browser: the client programs of the tests ask by it, too.
 */
import type { RoadPreference } from '#bridge/worker.ts';
import type { Refusal } from '#core/refusal.ts';
import { err, type Result } from '#core/result.ts';
import { sha256 } from '#crypto/hash.ts';
import type { LightHost } from '#network/light-host.ts';
import { isCongested, type Patience, type RpcError } from '#network/rpc.ts';
import {
  decodeProof,
  openFollowing,
  stepFollowing,
  type Following,
  type FollowEvent,
} from '#protocol/anti-entropy/index.ts';
import type { SectionAuthority, SectionProof } from '#protocol/section/index.ts';
import {
  decodeClientReply,
  encodeClientRequest,
  encodeCover,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { readPages } from '#runtime/read-pages.ts';
import type { Elder, KnownSections, Section } from './known-sections.ts';
import { isSilence, type WhoAnswers } from './who-answers.ts';

export type AskError =
  RpcError | { readonly kind: 'refused'; readonly refusal: Refusal } | { readonly kind: 'lie' };

export type Answered = Result<Exclude<ClientReply, { kind: 'refused' }>, AskError>;

type Named = Pick<Elder, 'name'>;

export interface Asking {
  readonly ask: (
    elder: Named,
    request: ClientRequest,
    timeoutMs: number,
    signal?: AbortSignal,
  ) => Promise<Answered>;
  /**
   * Asks under the section key that answers for `name`, and follows: whoever says retry or redirect
   * and proves it has the same bytes sent on, at most three times, then to three others (N30).
   */
  readonly askFor: (
    name: Uint8Array,
    elder: Named,
    request: ClientRequest,
    patience: Patience,
    signal?: AbortSignal,
  ) => Promise<Answered>;
  /** Reads the elder's pages of links towards a name. @returns whether they ended at an authority. */
  readonly readPages: (
    elder: Named,
    name: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
  ) => Promise<boolean>;
}

export interface AskingOptions {
  readonly host: Pick<LightHost, 'ask' | 'resting'>;
  readonly known: Pick<
    KnownSections,
    'addressesOf' | 'believe' | 'current' | 'takeRecords' | 'tree'
  >;
  readonly whoAnswers: Pick<WhoAnswers, 'note'>;
  readonly preference: () => RoadPreference;
  /** Waits until some section is known; throws when the network is away. */
  readonly loaded: () => Promise<Section>;
  /** Asks the bootstrap nodes who the elders are now. */
  readonly refresh: () => Promise<unknown>;
  /** This elder has answered: the road to it is worth remembering. */
  readonly rememberRoad: (elder: Uint8Array) => void;
}

/** The head tells messages apart; to hash a whole chunk for every elder asked would cost milliseconds. */
const bytesOfId = 256;
/** A reading ends after as many times the wait for one page. */
const pagesInTime = 4;

export function createAsking(options: AskingOptions): Asking {
  const { host, known, whoAnswers, preference, loaded, refresh, rememberRoad } = options;

  const exchange = async (
    elder: Named,
    bytes: Uint8Array,
    patience: Patience,
    signal?: AbortSignal,
  ): Promise<Answered> => {
    const addresses = known.addressesOf(elder.name);
    const isTried = addresses.length > 0 && !host.resting(elder.name);
    const reply = await host.ask({ name: elder.name, addresses }, bytes, patience, signal);
    if (!reply.ok) {
      const isMeant = isTried && signal?.aborted !== true;
      if (isMeant && isSilence(reply.error, preference())) whoAnswers.note(elder.name, false);
      return reply;
    }
    const decoded = decodeClientReply(reply.value);
    whoAnswers.note(elder.name, decoded.ok);
    if (!decoded.ok) return err({ kind: 'lie' });
    const answer = decoded.value;
    if (answer.kind === 'refused') return err({ kind: 'refused', refusal: answer.refusal });
    rememberRoad(elder.name);
    return { ok: true, value: answer };
  };

  const readFrom: Asking['readPages'] = (elder, name, timeoutMs, signal) => {
    // An elder may give one link per page: the whole reading has an end, too.
    const untilMs = Date.now() + pagesInTime * timeoutMs;
    return readPages(known.tree, name, async (from) => {
      if (signal?.aborted === true || Date.now() >= untilMs) return null;
      const cover = encodeCover({ kind: 'section', name, from });
      const reply = await exchange(elder, cover, timeoutMs, signal);
      if (!reply.ok || reply.value.kind !== 'proof') return null;
      known.takeRecords(reply.value.records);
      const proof = decodeProof(reply.value.proof);
      return proof.ok && (await known.believe(proof.value)) ? proof.value : null;
    });
  };

  /** Does what following asks for, until the message is to be sent once more; null to give up. */
  const nextOf = async (
    following: Following,
    first: FollowEvent,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Following | null> => {
    const isReached = ({ elders }: SectionAuthority): boolean =>
      elders.every(({ name }) => known.addressesOf(name).length > 0);
    let event = first;
    for (;;) {
      const step = stepFollowing({ tree: known.tree(), isReached }, following, event);
      switch (step.kind) {
        case 'send':
          return step.following;
        case 'giveUp':
          return null;
        case 'check':
          event = { kind: 'checked', holds: await known.believe(step.proof) };
          break;
        case 'read':
          await readFrom({ name: following.to }, following.name, timeoutMs, signal);
          event = { kind: 'read' };
      }
    }
  };

  const askFor: Asking['askFor'] = async (name, elder, request, patience, signal) => {
    const timeoutMs = typeof patience === 'number' ? patience : patience.idleMs;
    const inside = encodeClientRequest(request);
    if (known.current(name) === undefined) await loaded();
    const messageId = sha256(inside.subarray(0, bytesOfId));
    let following = openFollowing(known.tree(), name, messageId, elder.name);
    for (;;) {
      const { to, key } = following;
      const generation = known.current(name)?.authority.generation ?? 0n;
      const cover = encodeCover({ kind: 'under', key, generation, request: inside });
      const reply = await exchange({ name: to }, cover, patience, signal);
      // Sent on, the same bytes would crowd the same link.
      if (!reply.ok && isCongested(reply.error)) return reply;
      // An elder that does not answer may be none any more: the bootstrap nodes know.
      if (!reply.ok && reply.error.kind !== 'refused') void refresh();
      const event = eventOf(reply);
      if (event === null || signal?.aborted === true) return reply;
      const next = await nextOf(following, event, timeoutMs, signal);
      if (next === null) return reply;
      following = next;
    }
  };

  return {
    ask: (elder, request, timeoutMs, signal) =>
      exchange(elder, encodeClientRequest(request), timeoutMs, signal),
    askFor,
    readPages: readFrom,
  };
}

/** What an answer is to following; null for one that is the section's own. */
function eventOf(reply: Answered): FollowEvent | null {
  if (reply.ok) return null;
  if (reply.error.kind !== 'refused') return { kind: 'silent' };
  const { refusal } = reply.error;
  if (refusal.kind !== 'retry' && refusal.kind !== 'redirect') return null;
  return { kind: 'refused', proof: proofIn(refusal.proof) };
}

function proofIn(bytes: Uint8Array): SectionProof | null {
  const proof = decodeProof(bytes);
  return proof.ok ? proof.value : null;
}
