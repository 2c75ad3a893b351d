/** The view of the network for the pages: everything the worker has verified, and the basis for it. */
import { showPrefix } from '#address/prefix.ts';
import { ageOf, nameToId } from '#address/xor-name.ts';
import type { ElderView, NetworkView, SectionView, StallView } from '#bridge/worker-messages.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { KnownSections, Section } from './known-sections.ts';

type VerifiedView = Pick<
  NetworkView,
  'trust' | 'sentence' | 'section' | 'sections' | 'verifiedEpoch' | 'fork'
>;

/**
 * @param connectionOf how an elder is connected now
 * @param stall why a section cannot decide now (N29)
 * @param refused why the only answer so far was not accepted
 */
export function verifiedView(
  known: Pick<KnownSections, 'current' | 'sections' | 'epoch' | 'fork'>,
  connectionOf: (name: Uint8Array) => Omit<ElderView, 'name' | 'age'>,
  stall: (section: Section) => StallView | null,
  refused: string | undefined,
): VerifiedView {
  const sections = known
    .sections()
    .map((section) => ({ ...sectionView(section, connectionOf), stall: stall(section) }));
  const home = known.current();
  const section = sections.find(({ key }) => home && key === toHex(home.authority.key)) ?? null;
  const fork = known.fork();
  const trust =
    fork !== null || (section === null && refused !== undefined)
      ? 'refused'
      : section === null
        ? 'unknown'
        : 'verified';
  return {
    trust,
    sentence: sentenceFor(section, fork, refused),
    section,
    sections,
    verifiedEpoch: Number(known.epoch()),
    fork,
  };
}

function sectionView(
  { authority, elders }: Section,
  connectionOf: (name: Uint8Array) => Omit<ElderView, 'name' | 'age'>,
): Omit<SectionView, 'stall'> {
  const elderNames = new Set(elders.map(({ name }) => nameToId(name)));
  return {
    prefix: showPrefix(authority.prefix),
    key: toHex(authority.key),
    epoch: Number(authority.epoch),
    generation: Number(authority.generation),
    elders: elders.map(({ name }) => ({
      name: nameToId(name),
      age: ageOf(name),
      ...connectionOf(name),
    })),
    adults: authority.members
      .map(({ name }) => ({ name: nameToId(name), age: ageOf(name) }))
      .filter(({ name }) => !elderNames.has(name))
      .sort((a, b) => b.age - a.age || (a.name < b.name ? -1 : 1)),
  };
}

function sentenceFor(
  section: SectionView | null,
  fork: VerifiedView['fork'],
  refused: string | undefined,
): string {
  if (fork !== null) return forked;
  if (section === null) return refused ?? 'Not connected yet.';
  if (section.epoch === 0) {
    return 'Five of seven elders signed this section, and their key is the one this network was created with.';
  }
  return 'Five of seven elders signed this section. Each key since the network was created was signed by the one before it.';
}

/** N33: one sentence that a person can act on. */
export const forked =
  'A section has named two different successors, so some of its elders are cheating: Safe keeps to the first and sends nothing to the second. Ask the operator of this network.';
