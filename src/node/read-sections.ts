/**
 * A map of sections that one node asks of others: page after page of links, each verified from the genesis
 * key on before the next one is asked for (N31). Whoever answers can withhold and take its time; what it
 * invents is not learnt, and addresses are taken of proven elders alone.
 */
import { nameToId } from '#address/xor-name.ts';
import { err, type Result } from '#core/result.ts';
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

export interface SectionReader {
  /** Replaced, never changed. */
  readonly pins: () => Pins;
  /** Asks one node for the way to the section of a name. @returns whether anything new was learnt */
  readonly read: (ask: AskNode, name: Uint8Array) => Promise<boolean>;
}

export interface SectionReaderOptions {
  readonly begun: Pins;
  readonly jobs: Pick<JobPool, 'run'>;
  /** Address records of elders that are proven; their signatures are unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
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

export function createSectionReader(options: SectionReaderOptions): SectionReader {
  let pins = options.begun;

  const verify = async (proof: SectionProof): Promise<boolean> => {
    const plan = planUpdate(pins.tree, proof);
    if (plan.kind !== 'verify') return plan.kind === 'same';
    const result = await options.jobs.run('sectionNode', { kind: 'verifyLinks', job: plan.job });
    if (result.kind !== 'verifiedLinks') return false;
    const before = pins;
    const now = pin(before, result.update);
    if (!now.news) return true;
    // A fork is told once.
    if (now.pins.tree === before.tree && before.fork !== null) return false;
    ({ pins } = now);
    options.learnt(result.update, pins, before);
    // Nothing that hangs on a second record is believed.
    return pins.tree !== before.tree;
  };

  const askPage = async (
    ask: AskNode,
    name: Uint8Array,
    from: Uint8Array,
  ): Promise<SectionProof | null> => {
    const reply = await ask(encodeCover({ kind: 'section', name, from }));
    const decoded = reply.ok ? decodeClientReply(reply.value) : undefined;
    if (decoded?.ok !== true || decoded.value.kind !== 'proof') return null;
    const proof = decodeProof(decoded.value.proof);
    if (!proof.ok || !(await verify(proof.value))) return null;
    const { records } = decoded.value;
    if (proof.value.authority !== null) {
      options.records(recordsOfElders(pins.tree, name, records));
    }
    return proof.value;
  };

  return {
    pins: () => pins,
    read: async (ask, name) => {
      const before = pins.tree;
      const endMs = performance.now() + longestReadMs;
      const inTime: AskNode = async (request) =>
        performance.now() < endMs ? ask(request) : err('too slow');
      await readPages(
        () => pins.tree,
        name,
        (from) => askPage(inTime, name, from),
      );
      return pins.tree !== before;
    },
  };
}
