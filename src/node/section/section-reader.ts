/**
 * Reads the map of sections from other nodes: chain pages, each verified from the genesis key before
 * the next one is requested (N31). The answering node can withhold pages or be slow; invented ones do
 * not verify, and addresses are accepted only of proven elders.
 */
import { nameToId } from '#address/xor-name.ts';
import type { Result } from '#core/result.ts';
import { decodeProof } from '#protocol/anti-entropy/index.ts';
import {
  closestSection,
  decodeAddressRecord,
  planUpdate,
  sectionFor,
  type SectionProof,
  type SectionTree,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';
import { pin, type TrustStore } from '#roles/light-client/stored-sections.ts';
import { decodeClientReply, encodeRoutingRequest } from '#roles/wire/client.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { syncChain } from '#runtime/sync-chain.ts';

/** Sends one request to a node; an error means no answer. */
export type NodeQuery = (request: Uint8Array) => Promise<Result<Uint8Array, unknown>>;

export interface PageReaderOptions {
  /** The known sections; the tree is immutable. */
  readonly tree: () => SectionTree;
  readonly jobs: Pick<JobPool, 'run'>;
  /** Address records of proven elders; their signatures are unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
  /** Takes a verified update. @returns false when nothing that follows from it may be accepted */
  readonly onUpdate: (update: VerifiedUpdate) => boolean;
}

/** Asks one node for the key path to the section of a name. */
export type ReadKeyPath = (ask: NodeQuery, name: Uint8Array) => Promise<void>;

export interface SectionTreeReader {
  /** The store is immutable. */
  readonly pins: () => TrustStore;
  /** Like {@link ReadKeyPath}. @returns whether anything new was learned */
  readonly read: (ask: NodeQuery, name: Uint8Array) => Promise<boolean>;
}

export interface SectionTreeReaderOptions extends Pick<PageReaderOptions, 'jobs' | 'records'> {
  readonly initial: TrustStore;
  /** Called for a new page, or for a key with two successors. */
  readonly onLearned: (update: VerifiedUpdate, pins: TrustStore, before: TrustStore) => void;
}

/** Longest time to read from one node; proven pages stay, and the next node continues. */
export const longestReadMs = 30_000;

/** Of these records, those of the elders of the known section closest to a name, once each. */
export function recordsOfElders(
  tree: SectionTree,
  name: Uint8Array,
  records: readonly Uint8Array[],
): readonly Uint8Array[] {
  const elders = (sectionFor(tree, name) ?? closestSection(tree, name))?.elders ?? [];
  const wanted = new Set(elders.map((each) => nameToId(each.name)));
  return records.filter((bytes) => {
    const record = decodeAddressRecord(bytes);
    return record.ok && wanted.delete(nameToId(record.value.name));
  });
}

/** For a tree stored elsewhere. */
export function createPageReader({
  tree,
  jobs,
  records,
  onUpdate,
}: PageReaderOptions): ReadKeyPath {
  const verify = async (proof: SectionProof): Promise<boolean> => {
    const plan = planUpdate(tree(), proof);
    if (plan.kind !== 'verify') return plan.kind === 'same';
    const result = await jobs.run('sectionNode', { kind: 'verifyLinks', job: plan.job });
    return result.kind === 'verifiedLinks' && onUpdate(result.update);
  };
  return async (ask, name) => {
    const endMs = performance.now() + longestReadMs;
    await syncChain(tree, name, async (from) => {
      if (performance.now() >= endMs) return null;
      const reply = await ask(encodeRoutingRequest({ kind: 'section', name, from }));
      const decoded = reply.ok ? decodeClientReply(reply.value) : undefined;
      if (decoded?.ok !== true || decoded.value.kind !== 'proof') return null;
      const proof = decodeProof(decoded.value.proof);
      if (!proof.ok || !(await verify(proof.value))) return null;
      records(recordsOfElders(tree(), name, decoded.value.records));
      return proof.value;
    });
  };
}

export function createSectionTreeReader(options: SectionTreeReaderOptions): SectionTreeReader {
  let store = options.initial;
  const readKeyPath = createPageReader({
    ...options,
    tree: () => store.tree,
    onUpdate: (update) => {
      const before = store;
      const now = pin(before, update);
      if (!now.changed) return true;
      // A fork is reported once.
      if (now.store.tree === before.tree && before.fork !== null) return false;
      ({ store } = now);
      options.onLearned(update, store, before);
      // Nothing that follows from a second record is accepted.
      return store.tree !== before.tree;
    },
  });
  return {
    pins: () => store,
    read: async (ask, name) => {
      const before = store.tree;
      await readKeyPath(ask, name);
      return store.tree !== before;
    },
  };
}
