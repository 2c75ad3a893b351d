/**
 * How a bootstrap node follows the sections of its network: like a client, it asks members for chain
 * pages, verifies them from the genesis key, and stores the result. It is not a member, so it receives
 * no handover messages.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import {
  chainForPeer,
  closestSection,
  createTree,
  isKnownKey,
  maxChainLinks,
  namesUnderCurrentKeys,
  authorityAt,
  sectionFor,
  sectionsOf,
  successorBytes,
  treeWith,
  type Fork,
  type SectionAuthority,
  type SectionTree,
  type SignedAuthority,
  type SignedSuccessor,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import {
  decodeTrustStore,
  encodeTrustStore,
  type TrustStore,
} from '#roles/light-client/stored-sections.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { createSectionTreeReader } from './section-reader.ts';
import type { RequestPeer } from '../peers/node-links.ts';

export interface SectionFollower {
  readonly tree: () => SectionTree;
  /** N33: a key has two successors; seen in this or a previous run, and kept for ever. */
  readonly fork: () => Fork | null;
  /** The newest state at the genesis key's name, with the key path to it if that fits on a page. */
  readonly signed: () => SignedAuthority;
  /** Elders of all known sections, those of {@link signed} first. */
  readonly elders: () => readonly Uint8Array[];
  readonly members: () => readonly Uint8Array[];
  /** Is it a member of a known section? Costs one look-up, whatever the number of members. */
  readonly isMember: (name: Uint8Array) => boolean;
  /** Updates one section, the next one in turn. Never rejects. */
  readonly refresh: () => Promise<void>;
}

export interface SectionFollowerOptions {
  readonly anchor: TrustAnchor;
  /** Verified: the network's genesis state. */
  readonly firstState: SignedAuthority;
  /** Stored by a previous run; null for none. `isOurs`: signed by this node. */
  readonly saved: { readonly bytes: Uint8Array; readonly isOurs: boolean } | null;
  /** Handles its own errors: unsaved states are requested again. */
  readonly save: (bytes: Uint8Array) => void;
  readonly request: RequestPeer;
  /** Nodes to ask when no known member answers. */
  readonly fallbackNodes: () => readonly Uint8Array[];
  readonly jobs: Pick<JobPool, 'run'>;
  /** Signed address records, unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
  /** A new state was learned. */
  readonly onChange: () => void;
  /** N33: also called at the start for a stored fork. */
  readonly onFork: (fork: Fork) => void;
}

/** An unresponsive or lying node delays one update; others are asked within the same one. */
const nodesAsked = 3;

export async function followSections(options: SectionFollowerOptions): Promise<SectionFollower> {
  const initial = treeWith(createTree(options.anchor), options.firstState);
  if (!initial.ok) throw new Error('invariant broken: the genesis state is verified');
  const reader = createSectionTreeReader({
    initial: (await loadSaved(options)) ?? { tree: initial.value, fork: null },
    jobs: options.jobs,
    records: options.records,
    onLearned: (_, pins, before) => {
      if (pins !== before) options.save(encodeTrustStore(pins));
      if (pins.fork !== null && before.fork === null) options.onFork(pins.fork);
      if (tree() !== before.tree) options.onChange();
    },
  });
  const tree = (): SectionTree => reader.pins().tree;
  const { fork } = reader.pins();
  if (fork !== null) options.onFork(fork);

  const signed = (): SignedAuthority => homeState(options, tree());
  const namesOf = (pick: 'elders' | 'members') => namesFrom(signed().authority, tree(), pick);
  const isMember = createMemberTest(tree, () => [...namesOf('elders'), ...namesOf('members')]);
  return {
    ...{ tree, signed, isMember },
    fork: () => reader.pins().fork,
    elders: () => namesOf('elders'),
    members: () => namesOf('members'),
    refresh: createRefresh(options, reader),
  };
}

/** The newest state of the section that covers the network's first name. */
function homeState({ anchor, firstState }: SectionFollowerOptions, tree: SectionTree) {
  const homeName = anchor.genesisKey.slice(0, 32);
  const authority = sectionFor(tree, homeName) ?? closestSection(tree, homeName);
  const state = authority === undefined ? undefined : authorityAt(tree, authority.prefix);
  if (state === undefined) return firstState;
  return { ...state, chain: chainForPeer(tree, anchor.genesisKey, state.authority.key) };
}

/** Those of this section first, then those of all others. */
function namesFrom(
  own: SectionAuthority,
  tree: SectionTree,
  pick: 'elders' | 'members',
): readonly Uint8Array[] {
  const rest = sectionsOf(tree).filter(({ key }) => !equalBytes(key, own.key));
  return [own, ...rest].flatMap((each) => each[pick].map(({ name }) => name));
}

function createMemberTest(
  tree: () => SectionTree,
  names: () => readonly Uint8Array[],
): (name: Uint8Array) => boolean {
  let known: { readonly tree: SectionTree; readonly ids: ReadonlySet<string> } | null = null;
  return (name) => {
    // Trees are immutable.
    if (known?.tree !== tree()) known = { tree: tree(), ids: new Set(names().map(nameToId)) };
    return known.ids.has(nameToId(name));
  };
}

/** @returns a function that asks nodes of one section after the other for its newest state. */
function createRefresh(
  options: SectionFollowerOptions,
  reader: ReturnType<typeof createSectionTreeReader>,
): () => Promise<void> {
  let turn = 0;
  /** By section: the next node to ask. */
  const nextAsked = new Map<string, number>();
  const tree = (): SectionTree => reader.pins().tree;

  const nodesNear = (name: Uint8Array): readonly Uint8Array[] => {
    const near = sectionFor(tree(), name) ?? closestSection(tree(), name);
    const known = [...(near?.elders ?? []), ...(near?.members ?? [])].map((each) => each.name);
    const unique = new Map(
      [...known, ...options.fallbackNodes()].map((each) => [nameToId(each), each]),
    );
    return [...unique.values()];
  };
  const refreshAt = async (name: Uint8Array): Promise<void> => {
    const nodes = nodesNear(name);
    const place = nameToId(name);
    for (let asked = 0; asked < Math.min(nodesAsked, nodes.length); asked++) {
      const at = nextAsked.get(place) ?? 0;
      nextAsked.set(place, at + 1);
      const node = nodes[at % nodes.length];
      if (node === undefined) return;
      if (await reader.read((request) => options.request(node, request), name)) return;
    }
  };
  return async () => {
    const all = namesUnderCurrentKeys(tree());
    const name = all[turn++ % Math.max(1, all.length)];
    if (nextAsked.size > 2 * all.length + 1) nextAsked.clear();
    if (name !== undefined) await refreshAt(name).catch(() => undefined);
  };
}

/**
 * Verifies every link and state of the file again, like bytes from a peer. In a very long chain the
 * middle links are dropped (SECTION-T7), so that a key after them cannot be proven again: it counts only in a
 * file that this node has signed, and is requested again otherwise.
 */
async function loadSaved({
  anchor,
  firstState,
  saved,
  jobs,
}: SectionFollowerOptions): Promise<TrustStore | undefined> {
  const trust = saved?.isOurs === true ? 'own' : 'untrusted';
  const pins = saved === null ? undefined : decodeTrustStore(saved.bytes, anchor, [], trust);
  if (pins === undefined) return undefined;
  const { tree, fork } = pins;
  if (fork !== null && !isForkIn(tree, fork)) return undefined;
  const ofFork = fork === null ? [] : [fork.first, fork.second];
  const ofTree = [...tree.keys.values()].flatMap(({ link, successor }) => [
    ...(link === null ? [] : [link]),
    ...(successor === null ? [] : [successor]),
  ]);
  const links = [...new Set<SignedSuccessor>([...ofTree, ...ofFork])];
  const pages = Array.from({ length: Math.ceil(links.length / maxChainLinks) }, (_, n) => ({
    links: links.slice(n * maxChainLinks, (n + 1) * maxChainLinks),
    authority: null,
  }));
  const states = [...tree.sections.values()].map(({ authority, signature }) => ({
    links: [],
    authority: { authority, signature },
  }));
  const verified = await Promise.all(
    [...pages, ...states].map(async (proof) => {
      const job = { kind: 'verifyUpdate', proof, checkShares: true } as const;
      const result = await jobs.run('sectionNode', { kind: 'verifyLinks', job });
      return result.kind === 'verifiedLinks';
    }),
  );
  if (!verified.every(Boolean)) return undefined;
  // The genesis state is newer than a file that holds less.
  const whole = treeWith(tree, firstState);
  return whole.ok ? { tree: whole.value, fork } : undefined;
}

/** Two records of one known key. */
const isForkIn = (tree: SectionTree, { first, second }: Fork): boolean =>
  isKnownKey(tree, first.record.parentKey) &&
  equalBytes(first.record.parentKey, second.record.parentKey) &&
  !equalBytes(successorBytes(first.record), successorBytes(second.record));
