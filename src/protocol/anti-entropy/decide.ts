/**
 * An elder looks at the cover of a message before it looks inside: is the name ours, is the key
 * ours? If not, the sender is shown what it lacks (E1–E6), once, and never more than it paid for.
 */
import { matches, type Prefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  chainPage,
  closestSection,
  sectionAt,
  sectionFor,
  trustFor,
  type SectionAuthority,
  type SectionProof,
  type SectionTree,
  type SignedAuthority,
} from '#protocol/section/index.ts';
import { TOKEN_BYTES, type Envelope } from './envelope.ts';
import { encodeReply, type Reply } from './messages.ts';

/** What the deciding elder knows. */
export interface View {
  readonly tree: SectionTree;
  /** Its own section as it is sealed now. */
  readonly own: Omit<SignedAuthority, 'chain'>;
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

/** @param bytes length of the message as it was received, cover and all. */
export function decide(view: View, envelope: Envelope, bytes: number): Decided {
  const { told } = view;
  const { authority } = view.own;
  const isOurs = matches(authority.prefix, envelope.destinationName);
  const sameKey = equalBytes(envelope.destinationKey, authority.key);
  if (isOurs && sameKey) {
    const behind = envelope.generation < authority.generation;
    return { decision: { kind: 'accept', behind }, told };
  }
  const trusted = echoes(view, envelope);
  const counted = countTold(view, envelope, trusted);
  if (!counted.due) return { decision: { kind: 'silent' }, told: counted.told };
  const reply = answerFor(view, envelope, isOurs);
  const fits = encodeReply(reply).length <= maxAmplification * bytes;
  // E4: a token is never longer than what was received, so it always fits.
  if (fits || trusted) {
    return { decision: { kind: 'answer', reply }, told: counted.told };
  }
  const token = tokenFor(view.tokenSecret, envelope.source);
  const challenge: Reply = { kind: 'challenge', messageId: envelope.messageId, token };
  return { decision: { kind: 'answer', reply: challenge }, told: counted.told };
}

/** 16 bytes that only somebody who hears us at this name can say. */
export const tokenFor = (secret: Uint8Array, peer: Uint8Array): Uint8Array =>
  labelledHash('safe/v1/anti-entropy-token', secret, peer).slice(0, TOKEN_BYTES);

const echoes = ({ tokenSecret }: View, { source, token }: Envelope): boolean =>
  equalBytes(token, tokenFor(tokenSecret, source));

function answerFor(view: View, envelope: Envelope, isOurs: boolean): Reply {
  const { tree, own } = view;
  const { messageId, destinationName, destinationKey } = envelope;
  const target = isOurs ? own : sectionToShow(tree, destinationName, own.authority.prefix);
  // E5: nothing is known that is closer than we are.
  if (target === undefined || trustFor(tree, destinationKey) === undefined) {
    return { kind: 'newest', messageId, record: newestRecord(tree, own.authority) };
  }
  const proof = pageFor(tree, destinationKey, target);
  return isOurs ? { kind: 'retry', messageId, proof } : { kind: 'redirect', messageId, proof };
}

function sectionToShow(
  tree: SectionTree,
  name: Uint8Array,
  own: Prefix,
): Omit<SignedAuthority, 'chain'> | undefined {
  const closest = sectionFor(tree, name) ?? closestSection(tree, name, own);
  return closest === undefined ? undefined : sectionAt(tree, closest.prefix);
}

/**
 * N31: the page of links that follows the peer's key, with the authority if it is reached. From a
 * key that is no ancestor, as after a split on the other side, the page starts where both meet.
 */
export function pageFor(
  tree: SectionTree,
  known: Uint8Array,
  target: Omit<SignedAuthority, 'chain'>,
): SectionProof {
  const { key } = target.authority;
  const from = commonAncestor(tree, known, key);
  const page = chainPage(tree, from, key);
  if (page === undefined) return { links: [], authority: target };
  return { links: page.links, authority: page.complete ? target : null };
}

/** The last key on the way to `a` that `b` follows from, too. */
function commonAncestor(tree: SectionTree, a: Uint8Array, b: Uint8Array): Uint8Array {
  const onTheWay = new Set(lineOf(tree, b).map(toHex));
  return lineOf(tree, a).find((key) => onTheWay.has(toHex(key))) ?? tree.anchor.genesisKey;
}

/** A key and those before it, youngest first. */
function lineOf(tree: SectionTree, key: Uint8Array): readonly Uint8Array[] {
  const line = [key];
  let link = tree.keys.get(toHex(key))?.link ?? null;
  while (link !== null && line.length <= tree.keys.size) {
    line.push(link.record.parentKey);
    link = tree.keys.get(toHex(link.record.parentKey))?.link ?? null;
  }
  return line;
}

const newestRecord = (tree: SectionTree, { key }: SectionAuthority) =>
  tree.keys.get(toHex(key))?.link ?? null;

/**
 * E3: one answer per peer and key, and again after {@link answeredAgainAfter} more messages. All
 * unknown keys are one key, or a liar would get an answer for every one it makes up.
 */
function countTold(
  { tree, told }: View,
  { source, destinationKey }: Envelope,
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
