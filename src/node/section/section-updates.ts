/**
 * Sections send each other no handovers. An elder that receives a certificate under an unknown key asks
 * that section for its current key, as a client does, and verifies the proof.
 */
import { toHex } from '#core/codec/bytes.ts';
import {
  closestSection,
  newestKey,
  sectionFor,
  type SectionTree,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { createPageReader } from './section-reader.ts';
import type { RequestPeer } from '../peers/node-links.ts';

export interface SectionUpdatesOptions {
  readonly tree: () => SectionTree;
  readonly request: RequestPeer;
  readonly jobs: Pick<JobPool, 'run'>;
  /** Address records of proven elders; their signatures are unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
  readonly onUpdate: (update: VerifiedUpdate) => void;
  readonly now?: () => number;
}

/** A flood of certificates under one unknown key causes one look-up in this time. */
const pauseMs = 2_000;
const maxSectionsAsked = 256;
const eldersAsked = 3;

/** @returns a function that looks up the section of this name; it never rejects. */
export function createSectionUpdates(
  options: SectionUpdatesOptions,
): (name: Uint8Array) => Promise<void> {
  const now = options.now ?? Date.now;
  /** The time of a section's last look-up, by its key. */
  const lastAskedMs = new Map<string, number>();
  let turn = 0;

  const read = createPageReader({
    ...options,
    onUpdate: (update) => {
      options.onUpdate(update);
      return true;
    },
  });

  return async (name) => {
    const tree = options.tree();
    const near = nearest(tree, name);
    if (near === undefined) return;
    const sectionId = toHex(near.key);
    if (now() - (lastAskedMs.get(sectionId) ?? -pauseMs) < pauseMs) return;
    if (lastAskedMs.size >= maxSectionsAsked) lastAskedMs.clear();
    lastAskedMs.set(sectionId, now());
    for (let attempt = 0; attempt < eldersAsked; attempt++) {
      const elder = near.elders[turn++ % near.elders.length];
      if (elder === undefined) return;
      const before = newestKeyNear(options.tree(), name);
      await read((request) => options.request(elder.name, request), name).catch(() => undefined);
      if (newestKeyNear(options.tree(), name) !== before) return;
    }
  };
}

const nearest = (tree: SectionTree, name: Uint8Array) =>
  sectionFor(tree, name) ?? closestSection(tree, name);

/** The newest key of the known section closest to a name. */
function newestKeyNear(tree: SectionTree, name: Uint8Array): string {
  const key = nearest(tree, name)?.key;
  return key === undefined ? '' : toHex(newestKey(tree, key, name));
}
