/**
 * How a bootstrap node follows the sections of its network: it asks their members for pages of links,
 * as a client does, believes what follows from the genesis key, and keeps what it has verified. It is
 * no member of anything, so nobody tells it of a handover.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { Result } from '#core/result.ts';
import {
  chainFor,
  closestSection,
  emptyTree,
  isKnownKey,
  maxChainLinks,
  placesOf,
  sectionAt,
  sectionFor,
  sectionsOf,
  successorBytes,
  treeWith,
  type Fork,
  type SectionTree,
  type SignedAuthority,
  type SignedSuccessor,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { decodePins, encodePins, type Pins } from '#roles/light-client/pins.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { createSectionReader } from './read-sections.ts';

export interface SectionFollower {
  readonly tree: () => SectionTree;
  /** N33: a key has named two successors; seen in this life or an earlier one, and never forgotten. */
  readonly fork: () => Fork | null;
  /** The newest state of the section of the genesis key's name, with the way to it if it fits on a page. */
  readonly signed: () => SignedAuthority;
  /** Elders of all known sections, those of {@link signed} first. */
  readonly elders: () => readonly Uint8Array[];
  readonly members: () => readonly Uint8Array[];
  /** Of a section this node knows. Costs one look-up, however many members there are. */
  readonly isMember: (name: Uint8Array) => boolean;
  /** Asks about one place, the next one in turn. Never rejects. */
  readonly refresh: () => Promise<void>;
}

export interface FollowOptions {
  readonly anchor: TrustAnchor;
  /** Verified: the state with which the network was born. */
  readonly born: SignedAuthority;
  /** What an earlier life kept; null for none. `isOurs`: it is signed by this node. */
  readonly kept: { readonly bytes: Uint8Array; readonly isOurs: boolean } | null;
  /** Errors are its own: what could not be kept is asked for again. */
  readonly keep: (bytes: Uint8Array) => void;
  readonly request: (node: Uint8Array, request: Uint8Array) => Promise<Result<Uint8Array, unknown>>;
  /** Nodes to ask when nobody that is known to be a member answers. */
  readonly others: () => readonly Uint8Array[];
  readonly jobs: Pick<JobPool, 'run'>;
  /** Signed address records, unchecked. */
  readonly records: (records: readonly Uint8Array[]) => void;
  /** Another state was learnt. */
  readonly changed: () => void;
  /** N33: called at the start too when it was seen before. */
  readonly forked: (fork: Fork) => void;
}

/** A silent or lying node delays one look at one place; the others are asked in the same look. */
const nodesAsked = 3;

export async function followSections(options: FollowOptions): Promise<SectionFollower> {
  const { anchor, born, jobs } = options;
  const home = anchor.genesisKey.slice(0, 32);
  const begun = treeWith(emptyTree(anchor), born);
  if (!begun.ok) throw new Error('invariant broken: the state of the birth is verified');
  const reader = createSectionReader({
    begun: (await readKept(options)) ?? { tree: begun.value, fork: null },
    jobs,
    records: options.records,
    learnt: (_, pins, before) => {
      if (pins !== before) options.keep(encodePins(pins));
      if (pins.fork !== null && before.fork === null) options.forked(pins.fork);
      if (tree() !== before.tree) options.changed();
    },
  });
  const tree = (): SectionTree => reader.pins().tree;
  const { fork } = reader.pins();
  if (fork !== null) options.forked(fork);
  let turn = 0;
  /** By place: whom to ask next. */
  const nextAsked = new Map<string, number>();

  const membersNear = (name: Uint8Array): readonly Uint8Array[] => {
    const near = sectionFor(tree(), name) ?? closestSection(tree(), name);
    const known = [...(near?.elders ?? []), ...(near?.members ?? [])].map((each) => each.name);
    const unique = new Map([...known, ...options.others()].map((each) => [nameToId(each), each]));
    return [...unique.values()];
  };

  const lookAt = async (name: Uint8Array): Promise<void> => {
    const nodes = membersNear(name);
    const place = nameToId(name);
    for (let asked = 0; asked < Math.min(nodesAsked, nodes.length); asked++) {
      const at = nextAsked.get(place) ?? 0;
      nextAsked.set(place, at + 1);
      const node = nodes[at % nodes.length];
      if (node === undefined) return;
      if (await reader.read((request) => options.request(node, request), name)) return;
    }
  };

  const signed = (): SignedAuthority => {
    const now = tree();
    const authority = sectionFor(now, home) ?? closestSection(now, home);
    const held = authority === undefined ? undefined : sectionAt(now, authority.prefix);
    if (held === undefined) return born;
    return { ...held, chain: chainFor(now, anchor.genesisKey, held.authority.key) };
  };

  const first = (pick: 'elders' | 'members'): readonly Uint8Array[] => {
    const own = signed().authority;
    const rest = sectionsOf(tree()).filter(({ key }) => !equalBytes(key, own.key));
    return [own, ...rest].flatMap((each) => each[pick].map(({ name }) => name));
  };

  let membersOf: { readonly tree: SectionTree; readonly ids: ReadonlySet<string> } | null = null;
  const memberIds = (): ReadonlySet<string> => {
    // A tree is never changed, only replaced.
    if (membersOf?.tree !== tree()) {
      const names = [...first('elders'), ...first('members')];
      membersOf = { tree: tree(), ids: new Set(names.map(nameToId)) };
    }
    return membersOf.ids;
  };

  return {
    tree,
    fork: () => reader.pins().fork,
    signed,
    elders: () => first('elders'),
    members: () => first('members'),
    isMember: (name) => memberIds().has(nameToId(name)),
    refresh: async () => {
      const all = placesOf(tree());
      const name = all[turn++ % Math.max(1, all.length)];
      if (nextAsked.size > 2 * all.length + 1) nextAsked.clear();
      if (name !== undefined) await lookAt(name).catch(() => undefined);
    },
  };
}

/**
 * Read as if somebody else had sent it: every link and every state is verified once more. Of a very long
 * chain the links between are forgotten (T7), so that a key behind them cannot be proven again: it counts
 * only in a file that this node has signed, and is asked for again otherwise.
 */
async function readKept({ anchor, born, kept, jobs }: FollowOptions): Promise<Pins | undefined> {
  const whose = kept?.isOurs === true ? 'ours' : 'anybodys';
  const pins = kept === null ? undefined : decodePins(kept.bytes, anchor, [], whose);
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
  // The birth is newer than a file that holds less than that.
  const whole = treeWith(tree, born);
  return whole.ok ? { tree: whole.value, fork } : undefined;
}

/** Two records of one key that is known. */
const isForkIn = (tree: SectionTree, { first, second }: Fork): boolean =>
  isKnownKey(tree, first.record.parentKey) &&
  equalBytes(first.record.parentKey, second.record.parentKey) &&
  !equalBytes(successorBytes(first.record), successorBytes(second.record));
