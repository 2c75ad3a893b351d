/**
 * Section authority: the elders and members of a section, signed by the section's own key.
 *
 * From the genesis key of a network and these bytes alone, a verifier decides who the elders are,
 * which public share each holds, and who stores data (SECTION-A1–A8).
 */
import { EMPTY_PREFIX, matches, samePrefix, type Prefix } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { compareBytes, equalBytes, Reader, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import { charterHash, charterOf } from './charter.ts';
import { writeMembers } from './member-list.ts';
import { ELDER_COUNT, SHARES_REQUIRED } from './quorum.ts';
import {
  decodeSuccessor,
  encodeSuccessor,
  maxSuccessorBytes,
  parentPrefixOf,
  successorBytes,
} from './successor.ts';
import type { SectionAuthority, SignedSuccessor, SuccessorRecord } from './state.ts';

export interface SignedAuthority {
  readonly authority: SectionAuthority;
  /** 48 bytes by `authority.key` over {@link authoritySigningBytes}, purpose AUTHORITY. */
  readonly signature: Uint8Array;
  /** Successor records from a key the receiver trusts to `authority.key`, oldest first. */
  readonly chain: readonly SignedSuccessor[];
}

/** Why an authority was refused, and the rule it broke (docs/spec/section.md). */
export type SectionFault =
  | { readonly kind: 'wrongNetwork' }
  /** The key does not follow from the genesis key. */
  | { readonly kind: 'unknownKey' }
  | { readonly kind: 'wrongElders'; readonly rule: string }
  | { readonly kind: 'wrongMembers'; readonly rule: string }
  | { readonly kind: 'wrongShares' }
  | { readonly kind: 'wrongSignature' };

/** What a verifier knows beforehand: the genesis key and network id of the network file. */
export interface TrustAnchor {
  readonly genesisKey: Uint8Array;
  readonly networkId: Uint8Array;
}

/** 104 B each, 40 KiB together; a section splits long before. */
export const maxMembers = 384;
/** One page of links (N31). */
export const maxChainLinks = 16;
/** The limit of the client protocol for one authority. */
export const maxAuthorityBytes = 64 * 1024;

const nameBytes = 32;
const keyBytes = 96;
const signatureBytes = 48;
const formatVersion = 1;

/** The one encoding of an authority, both signed and sent. */
export function authoritySigningBytes(authority: SectionAuthority): Uint8Array {
  assert(authority.elders.length === ELDER_COUNT, 'a section has seven elders');
  assert(authority.members.length <= maxMembers, 'a section splits before it has so many members');
  const writer = new Writer()
    .label('safe/v1/section-authority')
    .fixed(authority.networkId, nameBytes)
    .u8(authority.prefix.bitCount)
    .fixed(authority.prefix.bits, nameBytes)
    .fixed(authority.key, keyBytes)
    .u64(authority.epoch)
    .u64(authority.generation);
  for (const elder of authority.elders) {
    writer.fixed(elder.name, nameBytes).fixed(elder.publicShare, keyBytes);
  }
  writeMembers(writer, authority.members);
  writer.fixed(authority.ledgerRoot, 32);
  const output = authority.genesisOutput;
  if (output === null) return writer.u8(0).finish();
  return writer.u8(1).fixed(output.oneTimeKey, nameBytes).u64(output.amount).finish();
}

/** @returns ≤ {@link maxAuthorityBytes} bytes. */
export function encodeSignedAuthority(signed: SignedAuthority): Uint8Array {
  assert(signed.chain.length <= maxChainLinks, 'one page of links');
  const writer = new Writer()
    .u8(formatVersion)
    .sized(authoritySigningBytes(signed.authority))
    .fixed(signed.signature, signatureBytes)
    .u8(signed.chain.length);
  for (const link of signed.chain) writer.sized(encodeSuccessor(link));
  return writer.finish();
}

/** The shape only; trust comes from {@link verifySignedAuthority}. */
export function decodeSignedAuthority(bytes: Uint8Array): Result<SignedAuthority, 'malformed'> {
  if (bytes.length > maxAuthorityBytes) return err('malformed');
  const reader = new Reader(bytes);
  if (reader.u8() !== formatVersion) return err('malformed');
  const authority = decodeAuthority(reader.sized(maxAuthorityBytes));
  const signature = reader.fixed(signatureBytes);
  const links = reader.u8();
  if (authority === undefined || links > maxChainLinks) return err('malformed');
  const chain: SignedSuccessor[] = [];
  for (let i = 0; i < links; i++) {
    const link = decodeSuccessor(reader.sized(maxSuccessorBytes));
    if (!link.ok) return link;
    chain.push(link.value);
  }
  return reader.finish() ? ok({ authority, signature, chain }) : err('malformed');
}

export function decodeAuthority(bytes: Uint8Array): SectionAuthority | undefined {
  const reader = new Reader(bytes);
  reader.sized(64); // The label: checked below by encoding again.
  const networkId = reader.fixed(nameBytes);
  const prefix = { bitCount: reader.u8(), bits: reader.fixed(nameBytes) };
  const key = reader.fixed(keyBytes);
  const epoch = reader.u64();
  const generation = reader.u64();
  const elders = Array.from({ length: ELDER_COUNT }, (_, at) => ({
    name: toXorName(reader.fixed(nameBytes)),
    publicShare: reader.fixed(keyBytes),
    index: at + 1,
  }));
  const count = reader.u32();
  if (count > maxMembers) return undefined;
  const members = Array.from({ length: count }, () => ({
    name: toXorName(reader.fixed(32)),
    joined: reader.u64(),
    placement: reader.fixed(32),
    sharingKey: reader.fixed(32),
  }));
  const ledgerRoot = reader.fixed(32);
  const flag = reader.u8();
  const genesisOutput =
    flag === 0 ? null : { oneTimeKey: reader.fixed(nameBytes), amount: reader.u64() };
  if (flag > 1 || !reader.finish()) return undefined;
  const authority: SectionAuthority = {
    networkId,
    prefix,
    key,
    epoch,
    generation,
    elders,
    members,
    ledgerRoot,
    genesisOutput,
  };
  return equalBytes(authoritySigningBytes(authority), bytes) ? authority : undefined;
}

/**
 * Decides whether these are the elders of the network with this genesis key. Cheap checks first;
 * the pairings and the interpolation (about 0.3 s with the real curve) last.
 * @param trusted another key to start from instead of the genesis key, with its epoch: a pin (N33).
 */
export function verifySignedAuthority(
  suite: ThresholdSuite,
  anchor: TrustAnchor,
  signed: SignedAuthority,
  trusted: TrustedKey = genesisTrust(anchor),
): Result<SectionAuthority, SectionFault> {
  const { authority, signature, chain } = signed;
  const fits = checkStructure(anchor, signed, trusted);
  if (!fits.ok) return fits;
  if (!chain.every((link) => verifySuccessor(suite, link))) return err({ kind: 'unknownKey' });
  // SECTION-A7: the signature comes before the shares, so unauthenticated peers cannot make us interpolate.
  if (!suite.verify(authority.key, 'AUTHORITY', authoritySigningBytes(authority), signature)) {
    return err({ kind: 'wrongSignature' });
  }
  if (!sharesMatchKey(suite, authority)) return err({ kind: 'wrongShares' });
  return ok(authority);
}

/** A trusted key, and what is known of it. */
export interface TrustedKey {
  readonly key: Uint8Array;
  readonly epoch: bigint;
  readonly prefix: Prefix;
  /** 32 bytes; null for the genesis key, which no record names. */
  readonly charterHash: Uint8Array | null;
}

export const genesisTrust = ({ genesisKey }: Pick<TrustAnchor, 'genesisKey'>): TrustedKey => ({
  key: genesisKey,
  epoch: 0n,
  prefix: EMPTY_PREFIX,
  charterHash: null,
});

/** All checks of an authority that need no pairing: SECTION-A1–A6, SECTION-A9, N28. */
export function checkStructure(
  anchor: TrustAnchor,
  { authority, chain }: Pick<SignedAuthority, 'authority' | 'chain'>,
  trusted: TrustedKey,
): Result<true, SectionFault> {
  if (!equalBytes(authority.networkId, anchor.networkId)) return err({ kind: 'wrongNetwork' });
  const last = followLinks(anchor.networkId, trusted, chain, authority.key);
  if (last === undefined || authority.epoch !== last.epoch) return err({ kind: 'unknownKey' });
  if (!samePrefix(authority.prefix, last.prefix))
    return err({ kind: 'wrongMembers', rule: 'SECTION-A9' });
  // N28: elders, prefix and shares are those of the record that named this key.
  const { charterHash: charter } = last;
  if (charter !== null && !equalBytes(charter, charterHash(charterOf(authority)))) {
    return err({ kind: 'wrongElders', rule: 'N28' });
  }
  return checkNames(authority);
}

/**
 * SECTION-A2, SECTION-A9 without signatures: follows these links from a trusted key to `last`. Undefined if they
 * are not connected, exceed a page, or name a prefix that the parent did not cover.
 */
export function followLinks(
  networkId: Uint8Array,
  trusted: TrustedKey,
  chain: readonly SignedSuccessor[],
  last: Uint8Array,
): TrustedKey | undefined {
  if (chain.length > maxChainLinks) return undefined;
  let at = trusted;
  for (const [i, { record }] of chain.entries()) {
    const next = chain[i + 1]?.record.parentKey ?? last;
    const child = record.children.find(({ key }) => equalBytes(key, next));
    if (child === undefined || !followsFrom(networkId, at, record)) return undefined;
    at = { ...child, epoch: at.epoch + 1n };
  }
  return equalBytes(at.key, last) ? at : undefined;
}

/** Whether this record is the successor record of that key, for exactly its prefix. */
export function followsFrom(
  networkId: Uint8Array,
  trusted: TrustedKey,
  record: SuccessorRecord,
): boolean {
  const covered = parentPrefixOf(record);
  return (
    equalBytes(record.networkId, networkId) &&
    equalBytes(record.parentKey, trusted.key) &&
    record.epoch === trusted.epoch &&
    covered !== undefined &&
    samePrefix(covered, trusted.prefix)
  );
}

/** One pairing. */
export const verifySuccessor = (
  suite: ThresholdSuite,
  { record, signature }: SignedSuccessor,
): boolean => suite.verify(record.parentKey, 'SUCCESSOR', successorBytes(record), signature);

function checkNames(authority: SectionAuthority): Result<true, SectionFault> {
  const { elders, members, prefix } = authority;
  const elderNames = elders.map(({ name }) => name);
  const memberNames = members.map(({ name }) => name);
  if (elders.length !== ELDER_COUNT) return err({ kind: 'wrongElders', rule: 'SECTION-A3' });
  if (!ascending(elderNames)) return err({ kind: 'wrongElders', rule: 'SECTION-A3' });
  if (elders.some(({ index }, at) => index !== at + 1)) {
    return err({ kind: 'wrongElders', rule: 'SECTION-A4' });
  }
  if (members.length > maxMembers || !ascending(memberNames)) {
    return err({ kind: 'wrongMembers', rule: 'SECTION-A5' });
  }
  // Two may have left: they stay elders until a handover replaces them (N29).
  const present = elderNames.filter((elder) => memberNames.some((name) => equalBytes(name, elder)));
  if (present.length < SHARES_REQUIRED) return err({ kind: 'wrongElders', rule: 'SECTION-A5' });
  if (!prefixIsCanonical(prefix)) return err({ kind: 'wrongMembers', rule: 'SECTION-A6' });
  if (![...memberNames, ...elderNames].every((name) => matches(prefix, name))) {
    return err({ kind: 'wrongMembers', rule: 'SECTION-A6' });
  }
  return ok(true);
}

/**
 * SECTION-A8: seven points lie on one polynomial of degree 4 whose value at 0 is the section key, when
 * five of them interpolate to the key and to the two others.
 */
export function sharesMatchKey(suite: ThresholdSuite, authority: SectionAuthority): boolean {
  const shares = authority.elders.map(({ index, publicShare }) => ({ index, key: publicShare }));
  const base = shares.slice(0, SHARES_REQUIRED);
  const expected = [{ index: 0, key: authority.key }, ...shares.slice(SHARES_REQUIRED)];
  return expected.every(({ index, key }) => {
    const computed = suite.interpolate(base, index);
    return computed !== undefined && equalBytes(computed, key);
  });
}

/** Strictly: sorted and distinct. */
const ascending = (names: readonly Uint8Array[]): boolean =>
  names.every((name, at) => {
    const before = names[at - 1];
    return before === undefined || compareBytes(before, name) < 0;
  });

/** Bits after the count are zero, so one prefix has one encoding. */
function prefixIsCanonical({ bitCount, bits }: Prefix): boolean {
  if (bits.length !== nameBytes || bitCount > 255) return false;
  for (let bit = bitCount; bit < 256; bit++) {
    if (((bits[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) return false;
  }
  return true;
}
