/**
 * Sections do not hear of each other's handovers. An elder that is shown a certificate of a key it
 * does not know asks there who signs now, as a client would, and checks the proof.
 */
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Result } from '#core/result.ts';
import { decodeProof, maxPages } from '#protocol/anti-entropy/index.ts';
import {
  closestSection,
  newestKey,
  planUpdate,
  sectionFor,
  type SectionTree,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';
import { decodeClientReply, encodeCover } from '#roles/wire/client.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';

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

  /** One page. @returns whether there may be a further one. */
  const ask = async (elder: Uint8Array, name: Uint8Array, from: Uint8Array): Promise<boolean> => {
    const cover = encodeCover({ kind: 'section', name, from });
    const reply = await options.request(elder, cover);
    const decoded = reply.ok ? decodeClientReply(reply.value) : undefined;
    if (decoded?.ok !== true || decoded.value.kind !== 'proof') return false;
    options.records(decoded.value.records);
    const proof = decodeProof(decoded.value.proof);
    if (!proof.ok) return false;
    const plan = planUpdate(options.tree(), proof.value);
    if (plan.kind !== 'verify') return false;
    const result = await options.jobs.run('sectionNode', { kind: 'verifyLinks', job: plan.job });
    if (result.kind !== 'verifiedLinks') return false;
    options.learned(result.update);
    return proof.value.authority === null;
  };

  return async (name) => {
    const tree = options.tree();
    const near = sectionFor(tree, name) ?? closestSection(tree, name);
    if (near === undefined) return;
    const place = toHex(near.key);
    if (now() - (asked.get(place) ?? -pauseMs) < pauseMs) return;
    if (asked.size >= maxPlaces) asked.clear();
    asked.set(place, now());
    for (let tried = 0; tried < eldersAsked; tried++) {
      const elder = near.elders[turn++ % near.elders.length];
      if (elder === undefined) return;
      const before = newestKey(options.tree(), near.key, name);
      for (let page = 0; page < maxPages; page++) {
        const from = newestKey(options.tree(), near.key, name);
        const more = await ask(elder.name, name, from).catch(() => false);
        if (!more) break;
      }
      if (!equalBytes(newestKey(options.tree(), near.key, name), before)) return;
    }
  };
}
