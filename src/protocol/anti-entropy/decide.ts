/**
 * An elder looks at the cover of a message before it looks inside: is the name ours, is the key
 * ours? If not, the sender is shown what it lacks (E1–E6), once, and never more than it paid for.
 */
import { matches, type Prefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  closestSection,
  sectionAt,
  sectionFor,
  trustFor,
  type SectionAuthority,
  type SectionProof,
  type SectionTree,
  type SignedAuthority,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import { TOKEN_BYTES, type Cover } from './cover.ts';
import { encodeReply, type Reply } from './messages.ts';
import { pageFor } from './pages.ts';

/** What an elder knows of sections. */
export interface Known {
  readonly tree: SectionTree;
  /** Its own section as it is sealed now. */
  readonly own: Omit<SignedAuthority, 'chain'>;
}

/** What the deciding elder knows. */
export interface View extends Known {
  /** 32 bytes of its own, secret: tokens are made of it, none is remembered. */
  readonly tokenSecret: Uint8Array;
  readonly told: Told;
}

/** To whom was answered for which key, and how many of its messages came since. Oldest first. */
export type Told = ReadonlyMap<string, number>;

export type Decision =
  /** Ours: look inside. `behind`: the sender knows an older generation of the same key. */
  | { readonly kind: 'accept'; readonly behind: boolean }
  | { readonly kind: 'answer'; readonly reply: Reply }
  /** E3: it was answered already. */
  | { readonly kind: 'silent' };

export interface Decided {
  readonly decision: Decision;
  readonly told: Told;
}

/** N31: bytes of an answer to a stranger, per byte received. */
export const maxAmplification = 3;
/** 8192 × 150 bytes; the oldest are forgotten. */
export const maxTold = 8192;
/** A lost answer is given again after so many further messages: a count, for nothing is timed. */
export const answeredAgainAfter = 8;

/** What a cover says of its sender, and what the sender therefore lacks. */
export type Looked =
  /** Ours: look inside. `behind`: the sender knows an older generation of the same key. */
  | { readonly kind: 'accept'; readonly behind: boolean }
  | { readonly kind: 'retry' | 'redirect'; readonly proof: SectionProof }
  | { readonly kind: 'newest'; readonly record: SignedSuccessor | null };

/** E1, E2, E5: without memory and price, for a peer that asked and waits for this one answer. */
export function lookAt(
  { tree, own }: Known,
  cover: Pick<Cover, 'destinationName' | 'destinationKey' | 'generation'>,
): Looked {
  const { destinationName, destinationKey } = cover;
  const { authority } = own;
  const isOurs = matches(authority.prefix, destinationName);
  if (isOurs && equalBytes(destinationKey, authority.key)) {
    return { kind: 'accept', behind: cover.generation < authority.generation };
  }
  if (trustFor(tree, destinationKey) === undefined) {
    return { kind: 'newest', record: newestRecord(tree, authority) };
  }
  if (isOurs) return { kind: 'retry', proof: pageFor(tree, destinationKey, own) };
  // Knowing no other section we show how the name's and ours parted.
  const closest = sectionToShow(tree, destinationName, authority.prefix) ?? own;
  return { kind: 'redirect', proof: pageFor(tree, destinationKey, closest) };
}

/** @param bytes length of the message as it was received, cover and all. */
export function decide(view: View, cover: Cover, bytes: number): Decided {
  const { told } = view;
  const looked = lookAt(view, cover);
  if (looked.kind === 'accept') return { decision: looked, told };
  const trusted = echoes(view, cover);
  const counted = countTold(view, cover, trusted);
  if (!counted.due) return { decision: { kind: 'silent' }, told: counted.told };
  const { messageId } = cover;
  const reply: Reply = { ...looked, messageId };
  const fits = encodeReply(reply).length <= maxAmplification * bytes;
  // E4: a token is never longer than what was received, so it always fits.
  if (fits || trusted) {
    return { decision: { kind: 'answer', reply }, told: counted.told };
  }
  const token = tokenFor(view.tokenSecret, cover.source);
  const challenge: Reply = { kind: 'challenge', messageId, token };
  return { decision: { kind: 'answer', reply: challenge }, told: counted.told };
}

/** 16 bytes that only somebody who hears us at this name can say. */
export const tokenFor = (secret: Uint8Array, peer: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/anti-entropy-token', secret, peer).slice(0, TOKEN_BYTES);

const echoes = ({ tokenSecret }: View, { source, token }: Cover): boolean =>
  equalBytes(token, tokenFor(tokenSecret, source));

function sectionToShow(
  tree: SectionTree,
  name: Uint8Array,
  own: Prefix,
): Omit<SignedAuthority, 'chain'> | undefined {
  const closest = sectionFor(tree, name) ?? closestSection(tree, name, own);
  return closest === undefined ? undefined : sectionAt(tree, closest.prefix);
}

const newestRecord = (tree: SectionTree, { key }: SectionAuthority) =>
  tree.keys.get(toHex(key))?.link ?? null;

/**
 * E3: one answer per peer and key, and again after {@link answeredAgainAfter} more messages. All
 * unknown keys are one key, or a liar would get an answer for every one it makes up.
 */
function countTold(
  { tree, told }: View,
  { source, destinationKey }: Cover,
  trusted: boolean,
): { readonly told: Told; readonly due: boolean } {
  const key = trustFor(tree, destinationKey) === undefined ? 'unknown' : toHex(destinationKey);
  // Who echoed asks for the answer that the challenge stood for.
  const entry = `${nameToId(source)}/${key}/${trusted ? 'echoed' : 'stranger'}`;
  const since = told.get(entry);
  const due = since === undefined || since + 1 >= answeredAgainAfter;
  const next = new Map(told);
  next.delete(entry);
  next.set(entry, due ? 0 : (since ?? 0) + 1);
  for (const oldest of next.keys()) {
    if (next.size <= maxTold) break;
    next.delete(oldest);
  }
  return { told: next, due };
}
