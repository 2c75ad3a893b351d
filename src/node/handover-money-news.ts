/**
 * Sections do not hear of each other's handovers. An elder that is shown a certificate of a key it
 * does not know asks there who signs now, as a client would, and checks the proof.
 */
import { toHex } from '#core/codec/bytes.ts';
import type { Result } from '#core/result.ts';
import { decodeProof } from '#protocol/anti-entropy/index.ts';
import {
  closestSection,
  newestKey,
  planUpdate,
  sectionFor,
  type SectionProof,
  type SectionTree,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';
import { decodeClientReply, encodeCover } from '#roles/wire/client.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { readPages } from '#runtime/read-pages.ts';
import { longestReadMs, recordsOfElders } from './read-sections.ts';

export interface SectionNewsOptions {
  readonly tree: () => SectionTree;
  readonly request: (
    elder: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  readonly jobs: Pick<JobPool, 'run'>;
  /** Signed address records, unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
  readonly learned: (update: VerifiedUpdate) => void;
  readonly now?: () => number;
}

/** A flood of certificates of one unknown key asks once. */
const pauseMs = 2_000;
const maxPlaces = 256;
const eldersAsked = 3;

/** @returns a function that asks who answers for this name now; it never rejects. */
export function createSectionNews(
  options: SectionNewsOptions,
): (name: Uint8Array) => Promise<void> {
  const now = options.now ?? Date.now;
  /** When a section was last asked, by its key. */
  const asked = new Map<string, number>();
  let turn = 0;

  /** One page, as far as it is proven. */
  const ask = async (
    elder: Uint8Array,
    name: Uint8Array,
    from: Uint8Array,
  ): Promise<SectionProof | null> => {
    const cover = encodeCover({ kind: 'section', name, from });
    const reply = await options.request(elder, cover);
    const decoded = reply.ok ? decodeClientReply(reply.value) : undefined;
    if (decoded?.ok !== true || decoded.value.kind !== 'proof') return null;
    const proof = decodeProof(decoded.value.proof);
    if (!proof.ok || !(await verify(proof.value))) return null;
    options.records(recordsOfElders(options.tree(), name, decoded.value.records));
    return proof.value;
  };
  const verify = async (proof: SectionProof): Promise<boolean> => {
    const plan = planUpdate(options.tree(), proof);
    if (plan.kind !== 'verify') return plan.kind === 'same';
    const result = await options.jobs.run('sectionNode', { kind: 'verifyLinks', job: plan.job });
    if (result.kind !== 'verifiedLinks') return false;
    options.learned(result.update);
    return true;
  };

  return async (name) => {
    const tree = options.tree();
    const near = nearest(tree, name);
    if (near === undefined) return;
    const place = toHex(near.key);
    if (now() - (asked.get(place) ?? -pauseMs) < pauseMs) return;
    if (asked.size >= maxPlaces) asked.clear();
    asked.set(place, now());
    for (let tried = 0; tried < eldersAsked; tried++) {
      const elder = near.elders[turn++ % near.elders.length];
      if (elder === undefined) return;
      const before = keyNow(options.tree(), name);
      const endMs = now() + longestReadMs;
      await readPages(options.tree, name, async (from) =>
        now() < endMs ? ask(elder.name, name, from) : null,
      ).catch(() => false);
      if (keyNow(options.tree(), name) !== before) return;
    }
  };
}

const nearest = (tree: SectionTree, name: Uint8Array) =>
  sectionFor(tree, name) ?? closestSection(tree, name);

/** The newest key of the section that is known to be closest to a name. */
function keyNow(tree: SectionTree, name: Uint8Array): string {
  const key = nearest(tree, name)?.key;
  return key === undefined ? '' : toHex(newestKey(tree, key, name));
}
