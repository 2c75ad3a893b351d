/**
 * What a light client believes, and what it keeps of it (N33): the newest authority per prefix with
 * the records that lead there. A later proof moves it on; a second word of a known key never does.
 */
import { Reader, Writer } from '#core/codec/bytes.ts';
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
const pinsVersion = 1;

/** Our own bytes for our own disk: read back without a single pairing. */
export function encodePins({ tree, fork }: Pins): Uint8Array {
  const proofs = [...linksOf(tree).map(alone), ...authoritiesOf(tree)];
  const writer = new Writer().u8(pinsVersion).u32(proofs.length);
  for (const proof of proofs) writer.sized(encodeProof(proof));
  const forked = fork === null ? [] : [alone(fork.first), alone(fork.second)];
  writer.u8(forked.length);
  for (const proof of forked) writer.sized(encodeProof(proof));
  return writer.finish();
}

/** Undefined for bytes of another version or a damaged disk: then everything is asked for again. */
export function decodePins(
  bytes: Uint8Array,
  anchor: TrustAnchor,
  checkpoints: readonly TrustedKey[] = [],
): Pins | undefined {
  if (bytes.length > maxPinsBytes) return undefined;
  const reader = new Reader(bytes);
  if (reader.u8() !== pinsVersion) return undefined;
  const proofs = readProofs(reader, reader.u32());
  const forked = readProofs(reader, reader.u8());
  if (!reader.finish() || proofs === undefined || forked === undefined) return undefined;
  const tree = proofs.reduce(
    (before, proof) => learn(before, storedUpdate(proof)).tree,
    emptyTree(anchor, checkpoints),
  );
  const [first, second] = forked.map(({ links }) => links[0]);
  return { tree, fork: first && second ? { first, second } : null };
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
