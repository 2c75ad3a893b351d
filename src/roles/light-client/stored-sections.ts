/**
 * The verified sections of a light client and their stored form (N33): the newest authority per prefix
 * with the chain to it. Later proofs update it; a second successor record of a known key never does.
 */
import { equalBytes, Reader, toHex, Writer } from '#core/codec/bytes.ts';
import { decodeProof, encodeProof, maxProofBytes } from '#protocol/anti-entropy/index.ts';
import {
  createTree,
  learn,
  planUpdate,
  sectionsOf,
  trustedUpdate,
  type Fork,
  type UpdatePlan,
  type SectionProof,
  type SectionTree,
  type SignedSuccessor,
  type TrustAnchor,
  type TrustedKey,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';

export interface TrustStore {
  readonly tree: SectionTree;
  /** Kept for ever and shown to the person: five elders of one section signed two successors. */
  readonly fork: Fork | null;
}

/** @param checkpoints keys built into the release, in addition to the genesis key. */
export const openTrustStore = (
  anchor: TrustAnchor,
  checkpoints: readonly TrustedKey[] = [],
): TrustStore => ({
  tree: createTree(anchor, checkpoints),
  fork: null,
});

/** The checks this proof needs; `performVerifyUpdate` runs them, {@link pin} stores the result. */
export const planPin = (store: TrustStore, proof: SectionProof): UpdatePlan =>
  planUpdate(store.tree, proof);

/** Stores a verified proof. @returns `changed`: the store must be written again. */
export function pin(
  store: TrustStore,
  update: VerifiedUpdate,
): { readonly store: TrustStore; readonly changed: boolean } {
  const { tree, changed, fork } = learn(store.tree, update);
  if (fork !== null) return { store: { ...store, fork: store.fork ?? fork }, changed: true };
  return changed ? { store: { ...store, tree }, changed } : { store, changed };
}

/** The newest epoch of any known section. */
export const verifiedEpoch = ({ tree }: TrustStore): bigint =>
  sectionsOf(tree).reduce((newest, { epoch }) => (epoch > newest ? epoch : newest), 0n);

/** 4096 links and 256 authorities: the bounds of a tree. */
export const maxTrustStoreBytes = 16 * 1024 * 1024;
const maxStoredProofs = 8192;
/** Format without orphaned keys. */
const wholeChainsVersion = 1;
const trustStoreVersion = 2;

/**
 * The client's own storage format, read back without a single pairing. The tree prunes keys inside a
 * long chain: keys without a parent are written separately, and pruned keys are listed, so that a read
 * neither loses the former nor takes the latter for current keys.
 */
export function encodeTrustStore({ tree, fork }: TrustStore): Uint8Array {
  const proofs = [...linksOf(tree).map(proofOfLink), ...authoritiesOf(tree)];
  const writer = new Writer().u8(trustStoreVersion);
  const orphans = orphansOf(tree);
  writer.u32(orphans.length);
  for (const { key, epoch, prefix, charterHash } of orphans) {
    writer.fixed(key, 96).u64(epoch).u8(prefix.bitCount).fixed(prefix.bits, 32);
    writer.fixed(charterHash ?? new Uint8Array(32), 32);
  }
  const pruned = prunedKeysIn(tree);
  writer.u32(pruned.length);
  for (const key of pruned) writer.fixed(key, 96);
  writer.u32(proofs.length);
  for (const proof of proofs) writer.sized(encodeProof(proof));
  const forked = fork === null ? [] : [proofOfLink(fork.first), proofOfLink(fork.second)];
  writer.u8(forked.length);
  for (const proof of forked) writer.sized(encodeProof(proof));
  return writer.finish();
}

/**
 * @returns undefined for another version or damaged bytes: the client then fetches everything again.
 * @param origin `own`: this program verified all before it wrote. A browser's store is `own`: a program
 *   that can write there already runs as the app. `untrusted`: keys without a chain from the genesis key
 *   are left out; the caller must verify the links and states.
 */
export function decodeTrustStore(
  bytes: Uint8Array,
  anchor: TrustAnchor,
  checkpoints: readonly TrustedKey[] = [],
  origin: 'own' | 'untrusted' = 'own',
): TrustStore | undefined {
  if (bytes.length > maxTrustStoreBytes) return undefined;
  const reader = new Reader(bytes);
  const version = reader.u8();
  if (version !== trustStoreVersion && version !== wholeChainsVersion) return undefined;
  const isWhole = version === wholeChainsVersion;
  const orphans = isWhole ? [] : readMany(reader, () => readOrphan(reader));
  const pruned = isWhole ? [] : readMany(reader, () => reader.fixed(96));
  const proofs = readProofs(reader, reader.u32());
  const forked = readProofs(reader, reader.u8());
  if (!reader.finish() || proofs === undefined || forked === undefined) return undefined;
  if (orphans === undefined || pruned === undefined) return undefined;
  const learnt = proofs.reduce(
    (before, proof) => learn(before, trustedUpdate(proof)).tree,
    createTree(anchor, origin === 'own' ? [...checkpoints, ...orphans] : checkpoints),
  );
  const keys = new Map(learnt.keys);
  if (origin === 'own') for (const key of pruned) keys.delete(toHex(key));
  const [first, second] = forked.map(({ links }) => links[0]);
  return { tree: { ...learnt, keys }, fork: first && second ? { first, second } : null };
}

/** Keys whose parent was pruned, in this run or an earlier one. */
const orphansOf = ({ keys, anchor }: SectionTree): readonly TrustedKey[] =>
  [...keys.values()].filter(({ key, link }) =>
    link === null ? !equalBytes(key, anchor.genesisKey) : !keys.has(toHex(link.record.parentKey)),
  );

/** Pruned keys that are children of a stored key. */
const prunedKeysIn = ({ keys }: SectionTree): readonly Uint8Array[] =>
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
  return count > maxStoredProofs ? undefined : Array.from({ length: count }, read);
}

function readProofs(reader: Reader, count: number): SectionProof[] | undefined {
  if (count > maxStoredProofs) return undefined;
  const proofs: SectionProof[] = [];
  for (let i = 0; i < count; i++) {
    const proof = decodeProof(reader.sized(maxProofBytes));
    if (!proof.ok) return undefined;
    proofs.push(proof.value);
  }
  return proofs;
}

const proofOfLink = (link: SignedSuccessor): SectionProof => ({ links: [link], authority: null });

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
