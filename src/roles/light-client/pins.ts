/**
 * What a light client believes, and what it keeps of it (N33): the newest authority per prefix with
 * the records that lead there. A later proof moves it on; a second word of a known key never does.
 */
import { equalBytes, Reader, toHex, Writer } from '#core/codec/bytes.ts';
import { decodeProof, encodeProof, maxProofBytes } from '#protocol/anti-entropy/index.ts';
import {
  emptyTree,
  learn,
  planUpdate,
  sectionsOf,
  storedUpdate,
  type Fork,
  type Plan,
  type SectionProof,
  type SectionTree,
  type SignedSuccessor,
  type TrustAnchor,
  type TrustedKey,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';

export interface Pins {
  readonly tree: SectionTree;
  /** Shown to the person, and never forgotten: five elders of one section signed twice. */
  readonly fork: Fork | null;
}

/** @param checkpoints keys that a release was built with, beside the genesis key. */
export const openPins = (anchor: TrustAnchor, checkpoints: readonly TrustedKey[] = []): Pins => ({
  tree: emptyTree(anchor, checkpoints),
  fork: null,
});

/** What has to be checked of this proof; `performVerifyUpdate` does it, {@link pin} keeps it. */
export const follow = (pins: Pins, proof: SectionProof): Plan => planUpdate(pins.tree, proof);

/** Takes in a verified proof. @returns whether anything is to be kept anew. */
export function pin(
  pins: Pins,
  update: VerifiedUpdate,
): { readonly pins: Pins; readonly news: boolean } {
  const { tree, news, fork } = learn(pins.tree, update);
  if (fork !== null) return { pins: { ...pins, fork: pins.fork ?? fork }, news: true };
  return news ? { pins: { ...pins, tree }, news } : { pins, news };
}

/** "Verified up to epoch e": the newest epoch of any section we hold. */
export const verifiedEpoch = ({ tree }: Pins): bigint =>
  sectionsOf(tree).reduce((newest, { epoch }) => (epoch > newest ? epoch : newest), 0n);

/** 4096 links and 256 authorities: as much as a tree holds. */
export const maxPinsBytes = 16 * 1024 * 1024;
const maxPinnedProofs = 8192;
/** Without keys that lost their parent. */
const wholeChainsVersion = 1;
const pinsVersion = 2;

/**
 * Our own bytes for our own disk: read back without a single pairing. Of a long chain the tree forgets
 * keys between: what lost its parent is written as a key of its own, and what was forgotten is named, so
 * that reading neither loses the one nor takes the other for a key that still speaks.
 */
export function encodePins({ tree, fork }: Pins): Uint8Array {
  const proofs = [...linksOf(tree).map(alone), ...authoritiesOf(tree)];
  const writer = new Writer().u8(pinsVersion);
  const orphans = orphansOf(tree);
  writer.u32(orphans.length);
  for (const { key, epoch, prefix, charterHash } of orphans) {
    writer.fixed(key, 96).u64(epoch).u8(prefix.bitCount).fixed(prefix.bits, 32);
    writer.fixed(charterHash ?? new Uint8Array(32), 32);
  }
  const forgotten = forgottenIn(tree);
  writer.u32(forgotten.length);
  for (const key of forgotten) writer.fixed(key, 96);
  writer.u32(proofs.length);
  for (const proof of proofs) writer.sized(encodeProof(proof));
  const forked = fork === null ? [] : [alone(fork.first), alone(fork.second)];
  writer.u8(forked.length);
  for (const proof of forked) writer.sized(encodeProof(proof));
  return writer.finish();
}

/**
 * Undefined for bytes of another version or a damaged disk: then everything is asked for again.
 * A browser's store is `ours`: a program that can write there runs as the app, and needs no forged pins.
 * @param whose `ours`: this program wrote them after it had verified all. `anybodys`: keys whose way from
 *   the genesis key is not among the bytes are left out; the links and states have yet to be verified.
 */
export function decodePins(
  bytes: Uint8Array,
  anchor: TrustAnchor,
  checkpoints: readonly TrustedKey[] = [],
  whose: 'ours' | 'anybodys' = 'ours',
): Pins | undefined {
  if (bytes.length > maxPinsBytes) return undefined;
  const reader = new Reader(bytes);
  const version = reader.u8();
  if (version !== pinsVersion && version !== wholeChainsVersion) return undefined;
  const isWhole = version === wholeChainsVersion;
  const orphans = isWhole ? [] : readMany(reader, () => readOrphan(reader));
  const forgotten = isWhole ? [] : readMany(reader, () => reader.fixed(96));
  const proofs = readProofs(reader, reader.u32());
  const forked = readProofs(reader, reader.u8());
  if (!reader.finish() || proofs === undefined || forked === undefined) return undefined;
  if (orphans === undefined || forgotten === undefined) return undefined;
  const learnt = proofs.reduce(
    (before, proof) => learn(before, storedUpdate(proof)).tree,
    emptyTree(anchor, whose === 'ours' ? [...checkpoints, ...orphans] : checkpoints),
  );
  const keys = new Map(learnt.keys);
  if (whose === 'ours') for (const key of forgotten) keys.delete(toHex(key));
  const [first, second] = forked.map(({ links }) => links[0]);
  return { tree: { ...learnt, keys }, fork: first && second ? { first, second } : null };
}

/** Keys whose parent was forgotten, in this life or an earlier one. */
const orphansOf = ({ keys, anchor }: SectionTree): readonly TrustedKey[] =>
  [...keys.values()].filter(({ key, link }) =>
    link === null ? !equalBytes(key, anchor.genesisKey) : !keys.has(toHex(link.record.parentKey)),
  );

/** Named by a key that is kept, and forgotten themselves. */
const forgottenIn = ({ keys }: SectionTree): readonly Uint8Array[] =>
  [...keys.values()].flatMap(({ successor }) =>
    (successor?.record.children ?? []).map(({ key }) => key).filter((key) => !keys.has(toHex(key))),
  );

function readOrphan(reader: Reader): TrustedKey {
  const [key, epoch, bitCount, bits] = [
    reader.fixed(96),
    reader.u64(),
    reader.u8(),
    reader.fixed(32),
  ];
  return { key, epoch, prefix: { bitCount, bits }, charterHash: reader.fixed(32) };
}

function readMany<T>(reader: Reader, read: () => T): T[] | undefined {
  const count = reader.u32();
  return count > maxPinnedProofs ? undefined : Array.from({ length: count }, read);
}

function readProofs(reader: Reader, count: number): SectionProof[] | undefined {
  if (count > maxPinnedProofs) return undefined;
  const proofs: SectionProof[] = [];
  for (let i = 0; i < count; i++) {
    const proof = decodeProof(reader.sized(maxProofBytes));
    if (!proof.ok) return undefined;
    proofs.push(proof.value);
  }
  return proofs;
}

const alone = (link: SignedSuccessor): SectionProof => ({ links: [link], authority: null });

/** Each record once, parents before children. */
const linksOf = ({ keys }: SectionTree): readonly SignedSuccessor[] =>
  [...keys.values()]
    .flatMap(({ successor }) => successor ?? [])
    .sort((a, b) => Number(a.record.epoch - b.record.epoch));

const authoritiesOf = ({ sections }: SectionTree): readonly SectionProof[] =>
  [...sections.values()].map(({ authority, signature }) => ({
    links: [],
    authority: { authority, signature },
  }));
