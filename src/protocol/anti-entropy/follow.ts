/**
 * The sender's half: it kept the message, reads the answer, learns what is proven, and sends the
 * same bytes on, under the newest key (F1–F6). Nothing makes it run in circles: every hop is a
 * strictly newer key, there are three of them, and after those it asks three others.
 */
import { matches } from '#address/prefix.ts';
import { closest, nameToId, type XorName } from '#address/xor-name.ts';
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  closestSection,
  newestKey,
  planUpdate,
  sectionFor,
  trustFor,
  type SectionAuthority,
  type SectionProof,
  type SectionTree,
  type VerifyUpdateJob,
} from '#protocol/section/index.ts';
import { noKey } from './cover.ts';
import type { Reply } from './messages.ts';

/** A message that was sent and may come back. */
export interface Pending {
  /** 16 bytes. */
  readonly messageId: Uint8Array;
  readonly destinationName: XorName;
  /** The key it was sent under last. */
  readonly key: Uint8Array;
  /** Times it was sent on because of a retry or redirect. */
  readonly hops: number;
  /** Pages of links read for it: each of them signed, so liars cannot add any. */
  readonly pages: number;
  /** Ids of the elders that were asked. */
  readonly asked: readonly string[];
  /** Whether the three others were asked already. */
  readonly others: boolean;
}

export type Judged =
  /** Check it in a job, {@link learn} the result, then {@link proceed}. */
  | { readonly kind: 'verify'; readonly job: VerifyUpdateJob }
  /** We knew it already; {@link proceed} sends on if that is newer than what we used. */
  | { readonly kind: 'known' }
  /** F2: say the message again with this token. */
  | { readonly kind: 'echo'; readonly token: Uint8Array }
  /** The peer is behind us: what it lacks is ours to say (an update from this key on). */
  | { readonly kind: 'teach'; readonly from: Uint8Array }
  /** Not an answer to this message, or no proof: the peer gains nothing. */
  | { readonly kind: 'refused'; readonly fault: AntiEntropyFault };

export type AntiEntropyFault = 'notAsked' | 'unproven' | 'wrongSection';

export type Proceed =
  /** Send the kept message to elders of this section under this key. */
  | {
      readonly kind: 'resend';
      readonly section: SectionAuthority;
      readonly key: Uint8Array;
      readonly to: readonly XorName[];
      readonly pending: Pending;
    }
  /** Nothing better than what we used: keep waiting for others' answers. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'gaveUp' };

/** N30. */
export const maxHops = 3;
/** N30: asked when the hops are used up. */
export const othersAsked = 3;
/** 4096 links, as many as a tree keeps. */
export const maxPages = 256;

export const openPending = (
  messageId: Uint8Array,
  destinationName: XorName,
  key: Uint8Array,
  asked: readonly XorName[],
): Pending => ({
  messageId,
  destinationName,
  key,
  hops: 0,
  pages: 0,
  asked: asked.map(nameToId),
  others: false,
});

/** F1–F4: what an answer is worth, before a single pairing is paid. */
export function judge(tree: SectionTree, pending: Pending, from: XorName, reply: Reply): Judged {
  const fits = equalBytes(reply.messageId, pending.messageId);
  if (!fits || !pending.asked.includes(nameToId(from))) return refused('notAsked');
  switch (reply.kind) {
    case 'challenge':
      return { kind: 'echo', token: reply.token };
    case 'newest': {
      const child = reply.record?.record.children.find(({ prefix }) =>
        matches(prefix, pending.destinationName),
      );
      const theirs = child?.key ?? tree.anchor.genesisKey;
      if (trustFor(tree, theirs) !== undefined) return { kind: 'teach', from: theirs };
      // Newer than anything we know, or nonsense: only a proof from our own key on will tell.
      return reply.record === null
        ? refused('unproven')
        : weigh(tree, { links: [reply.record], authority: null });
    }
    case 'retry':
    case 'redirect':
      return judgeProof(tree, pending, reply.proof);
  }
}

/** F3: it must end at a section that answers for the name, or is closer to it than the one used. */
function judgeProof(tree: SectionTree, pending: Pending, proof: SectionProof): Judged {
  const { destinationName: name } = pending;
  const shown = proof.authority?.authority;
  if (shown !== undefined && !matches(shown.prefix, name)) {
    const used = trustFor(tree, pending.key);
    if (used !== undefined && matches(used.prefix, name)) return refused('wrongSection');
  }
  // N30: a key whose successor we know is no news, whatever it says of itself.
  const known = shown === undefined ? undefined : tree.keys.get(toHex(shown.key));
  if (known !== undefined && known.successor !== null) return { kind: 'known' };
  return weigh(tree, proof);
}

function weigh(tree: SectionTree, proof: SectionProof): Judged {
  const plan = planUpdate(tree, proof);
  switch (plan.kind) {
    case 'same':
      return { kind: 'known' };
    case 'refused':
      return refused('unproven');
    case 'verify':
      return { kind: 'verify', job: plan.job };
  }
}

const refused = (fault: AntiEntropyFault): Judged => ({ kind: 'refused', fault });

/**
 * F5, F6: after the tree has learnt (or knew), where does the message go? On, when the tree now has
 * a key strictly newer than the one used; to three others, when three hops did not help.
 */
export function proceed(tree: SectionTree, pending: Pending): Proceed {
  const { destinationName: name } = pending;
  const section = sectionFor(tree, name) ?? closestSection(tree, name);
  if (section === undefined) return { kind: 'gaveUp' };
  const key = newestKey(tree, section.key, name);
  if (!isStrictlyNewer(tree, key, pending.key)) return { kind: 'wait' };
  // A page without its authority is progress, but no hop: it goes to the same elders again.
  const isPage = !equalBytes(key, section.key);
  if (isPage ? pending.pages >= maxPages : pending.hops >= maxHops) {
    return askOthers(tree, pending);
  }
  const to = closestElder(section, name);
  return resend(section, key, to, {
    ...pending,
    key,
    hops: pending.hops + (isPage ? 0 : 1),
    pages: pending.pages + (isPage ? 1 : 0),
  });
}

/** N30: three elders that were not asked yet, chosen by the message's id; once. */
export function askOthers(tree: SectionTree, pending: Pending): Proceed {
  const { destinationName: name, messageId } = pending;
  const section = sectionFor(tree, name) ?? closestSection(tree, name);
  if (pending.others || section === undefined) return { kind: 'gaveUp' };
  const to = section.elders
    .map((elder) => elder.name)
    .filter((elder) => !pending.asked.includes(nameToId(elder)))
    .map((elder) => ({ elder, rank: labelledHash('safe/v1/other-elder', messageId, elder) }))
    .sort((a, b) => compareBytes(a.rank, b.rank))
    .slice(0, othersAsked)
    .map(({ elder }) => elder);
  if (to.length === 0) return { kind: 'gaveUp' };
  const key = newestKey(tree, section.key, name);
  return resend(section, key, to, { ...pending, key, others: true });
}

const resend = (
  section: SectionAuthority,
  key: Uint8Array,
  to: readonly XorName[],
  pending: Pending,
): Proceed => ({
  kind: 'resend',
  section,
  key,
  to,
  pending: { ...pending, asked: [...new Set([...pending.asked, ...to.map(nameToId)])] },
});

/** N30: a later epoch than the key used; every key is later than none. */
function isStrictlyNewer(tree: SectionTree, key: Uint8Array, used: Uint8Array): boolean {
  if (equalBytes(key, used)) return false;
  const before = trustFor(tree, used);
  const now = trustFor(tree, key);
  if (now === undefined) return false;
  if (before === undefined) return equalBytes(used, noKey);
  // A redirect leads into another branch; there the age of the key used says nothing.
  return now.epoch > before.epoch || !matches(before.prefix, now.prefix.bits);
}

const closestElder = ({ elders }: SectionAuthority, name: Uint8Array): readonly XorName[] =>
  closest(
    elders.map((elder) => elder.name),
    name,
    1,
  );
