/**
 * A map of sections that one node asks of others: page after page of links, each verified from the genesis
 * key on before the next one is asked for (N31). The node that answers can withhold and take its time; what
 * it invents is not learnt, and addresses are taken of proven elders alone.
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
import { pin, type Pins } from '#roles/light-client/pins.ts';
import { decodeClientReply, encodeCover } from '#roles/wire/client.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { readPages } from '#runtime/read-pages.ts';

/** Sends one request to a node; an error for no answer. */
export type AskNode = (request: Uint8Array) => Promise<Result<Uint8Array, unknown>>;

export interface PagesOptions {
  /** What is known; replaced, never changed. */
  readonly tree: () => SectionTree;
  readonly jobs: Pick<JobPool, 'run'>;
  /** Address records of elders that are proven; their signatures are unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
  /** Takes what was verified. @returns false when nothing that follows from it is to be believed */
  readonly learned: (update: VerifiedUpdate) => boolean;
}

/** Asks one node for the way to the section of a name. */
export type ReadPages = (ask: AskNode, name: Uint8Array) => Promise<void>;

export interface SectionReader {
  /** Replaced, never changed. */
  readonly pins: () => Pins;
  /** As {@link ReadPages}. @returns whether anything new was learnt */
  readonly read: (ask: AskNode, name: Uint8Array) => Promise<boolean>;
}

export interface SectionReaderOptions extends Pick<PagesOptions, 'jobs' | 'records'> {
  readonly begun: Pins;
  /** Something was learnt: a page, or that a key has named two successors. */
  readonly learnt: (update: VerifiedUpdate, pins: Pins, before: Pins) => void;
}

/** One node is read from for so long at a time; what it has proven stays, and others are asked. */
export const longestReadMs = 30_000;

/** Of these records those of the elders of the section that is known to be closest to a name, once each. */
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

/** For a tree that is kept elsewhere. */
export function createPageReading({ tree, jobs, records, learned }: PagesOptions): ReadPages {
  const verify = async (proof: SectionProof): Promise<boolean> => {
    const plan = planUpdate(tree(), proof);
    if (plan.kind !== 'verify') return plan.kind === 'same';
    const result = await jobs.run('sectionNode', { kind: 'verifyLinks', job: plan.job });
    return result.kind === 'verifiedLinks' && learned(result.update);
  };
  return async (ask, name) => {
    const endMs = performance.now() + longestReadMs;
    await readPages(tree, name, async (from) => {
      if (performance.now() >= endMs) return null;
      const reply = await ask(encodeCover({ kind: 'section', name, from }));
      const decoded = reply.ok ? decodeClientReply(reply.value) : undefined;
      if (decoded?.ok !== true || decoded.value.kind !== 'proof') return null;
      const proof = decodeProof(decoded.value.proof);
      if (!proof.ok || !(await verify(proof.value))) return null;
      records(recordsOfElders(tree(), name, decoded.value.records));
      return proof.value;
    });
  };
}

export function createSectionReader(options: SectionReaderOptions): SectionReader {
  let pins = options.begun;
  const readPagesOf = createPageReading({
    ...options,
    tree: () => pins.tree,
    learned: (update) => {
      const before = pins;
      const now = pin(before, update);
      if (!now.news) return true;
      // A fork is told once.
      if (now.pins.tree === before.tree && before.fork !== null) return false;
      ({ pins } = now);
      options.learnt(update, pins, before);
      // Nothing that hangs on a second record is believed.
      return pins.tree !== before.tree;
    },
  });
  return {
    pins: () => pins,
    read: async (ask, name) => {
      const before = pins.tree;
      await readPagesOf(ask, name);
      return pins.tree !== before;
    },
  };
}
