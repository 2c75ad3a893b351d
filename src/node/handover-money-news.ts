/**
 * Sections do not hear of each other's handovers. An elder that is shown a certificate of a key it
 * does not know asks there who signs now, as a client would, and checks the proof.
 */
import { toHex } from '#core/codec/bytes.ts';
import type { Result } from '#core/result.ts';
import {
  closestSection,
  newestKey,
  sectionFor,
  type SectionTree,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { createPageReading } from './read-sections.ts';

export interface SectionNewsOptions {
  readonly tree: () => SectionTree;
  readonly request: (
    elder: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  readonly jobs: Pick<JobPool, 'run'>;
  /** Address records of elders that are proven; their signatures are unchecked. */
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

  const read = createPageReading({
    ...options,
    learned: (update) => {
      options.learned(update);
      return true;
    },
  });

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
      await read((request) => options.request(elder.name, request), name).catch(() => undefined);
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
