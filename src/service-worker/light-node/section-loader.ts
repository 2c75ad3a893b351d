/** Loads the sections of the network: from the last run, shipped checkpoints, bootstrap nodes, elders. */
import { CallError, unreachable } from '../http/http-responses.ts';
import {
  decodeSignedAuthority,
  sectionProofOf,
  type SectionProof,
} from '#protocol/section/index.ts';
import { askBootstrapMs, type BootstrapQueries } from './bootstrap-queries.ts';
import type { ElderRequests } from './elder-requests.ts';
import type { KnownSections, Section } from './known-sections.ts';

/** N33: the first start accepts no single bootstrap node's answer alone. */
const bootstrapsCompared = 2;
const eldersTried = 3;

export interface SectionLoader {
  /** Waits until a section is known. Errors: throws {@link CallError} when none can be verified. */
  readonly loaded: () => Promise<Section>;
  /** Asks the bootstrap nodes for the current elders; never rejects. */
  readonly refresh: () => Promise<unknown>;
  /** Why the only answer so far was not accepted. */
  readonly refusedBecause: () => string | undefined;
}

export interface SectionLoaderParts {
  readonly known: KnownSections;
  readonly bootstrap: BootstrapQueries;
  readonly checkpoints: readonly SectionProof[];
  /** The name whose section is used when a call gives none. */
  readonly home: Uint8Array;
  readonly syncChain: ElderRequests['syncChain'];
  readonly onChange: () => void;
}

interface LoaderState {
  /** Counts the elders asked for a chain, so that each time another one is first. */
  nextReader: number;
  refusedBecause: string | undefined;
}

export function createSectionLoader(parts: SectionLoaderParts): SectionLoader {
  const state: LoaderState = { nextReader: 0, refusedBecause: undefined };
  let loading: Promise<Section> | undefined;
  let refreshing: Promise<unknown> | undefined;
  const refresh = (): Promise<unknown> =>
    (refreshing ??= fetchSection(parts, state)
      .catch(() => undefined)
      .finally(() => {
        refreshing = undefined;
      }));
  return {
    loaded: () =>
      (loading ??= load(parts, state, refresh).finally(() => {
        loading = undefined;
      })),
    refresh,
    refusedBecause: () => state.refusedBecause,
  };
}

async function load(
  parts: SectionLoaderParts,
  state: LoaderState,
  refresh: () => Promise<unknown>,
): Promise<Section> {
  const { known } = parts;
  const isKnown = (await known.load()) && known.namesWithAddresses().length > 0;
  await pinCheckpoints(parts);
  if (isKnown) {
    // Addresses or elders may have changed since the last run.
    void refresh();
    const section = known.current();
    if (section !== undefined) return section;
  }
  const fresh = await fetchSection(parts, state);
  if (fresh !== undefined) return fresh;
  if (state.refusedBecause !== undefined) {
    throw new CallError(502, { kind: 'otherNetwork', message: state.refusedBecause });
  }
  throw unreachable('The network does not answer.');
}

/** N33: before any node is asked, and again with each new version of the app. */
async function pinCheckpoints({ known, checkpoints }: SectionLoaderParts): Promise<void> {
  for (const proof of checkpoints) {
    if ((await known.verifyAndStore(proof)) || known.fork() !== null) continue;
    throw new CallError(502, { kind: 'otherNetwork', message: wrongCheckpoint });
  }
}

async function fetchSection(
  parts: SectionLoaderParts,
  state: LoaderState,
): Promise<Section | undefined> {
  const { known, bootstrap, onChange } = parts;
  const isFirst = known.current() === undefined || known.namesWithAddresses().length === 0;
  const wanted = isFirst ? bootstrapsCompared : 1;
  const { answered, refused, recordLists } = await askBootstraps(parts, wanted);
  bootstrap.rotate();
  addInTurn(known, recordLists);
  // The chain is longer than a page: elders have the rest, and their addresses are self-signed.
  if (known.current() === undefined || refused) await readChain(parts, state, wanted);
  const section = known.current();
  state.refusedBecause = refused && section === undefined ? wrongAuthority : undefined;
  if (section !== undefined) await known.save();
  onChange();
  // Shipped checkpoints alone contain no current addresses of elders.
  return answered || known.namesWithAddresses().length > 0 ? section : undefined;
}

interface BootstrapAnswers {
  /** Some node has sent an authority. */
  readonly answered: boolean;
  /** An authority did not verify. */
  readonly refused: boolean;
  readonly recordLists: readonly (readonly Uint8Array[])[];
}

async function askBootstraps(
  { known, bootstrap }: SectionLoaderParts,
  wanted: number,
): Promise<BootstrapAnswers> {
  const recordLists: (readonly Uint8Array[])[] = [];
  let [answered, refused] = [false, false];
  await Promise.all([
    bootstrap.ask('authority', wanted, async (reply) => {
      const signed = decodeSignedAuthority(reply.authority);
      const fits = signed.ok && (await known.verifyAndStore(sectionProofOf(signed.value)));
      answered = true;
      refused ||= !fits;
      return fits;
    }),
    bootstrap.ask('addresses', isReachable(known) ? wanted : bootstrapsCompared, async (reply) => {
      recordLists.push(reply.records);
      return reply.records.length > 0;
    }),
  ]);
  return { answered, refused, recordLists };
}

/** Is an address known for every elder of every section? */
const isReachable = (known: KnownSections): boolean =>
  known.sections().every(({ elders }) => elders.every(({ addresses }) => addresses.length > 0));

/** One record of each list in turn, so that no single node chooses the elders we ask. */
function addInTurn(known: KnownSections, lists: readonly (readonly Uint8Array[])[]): void {
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  for (let at = 0; at < longest; at++) {
    known.addRecords(lists.flatMap((each) => each.slice(at, at + 1)));
  }
}

/** Reads the chain from up to three nodes, until `wanted` of them have led to an authority. */
async function readChain(
  { known, syncChain, home }: SectionLoaderParts,
  state: LoaderState,
  wanted: number,
): Promise<void> {
  const names = known.namesWithAddresses();
  let read = 0;
  for (let tried = 0; tried < Math.min(eldersTried, names.length) && read < wanted; tried++) {
    const name = names[state.nextReader++ % names.length];
    if (name !== undefined && (await syncChain({ name }, home, askBootstrapMs))) read += 1;
  }
}

const wrongAuthority =
  'The elders in the answer do not fit the genesis key of this network. Nothing was sent.';

const wrongCheckpoint =
  'This version of the app knows other keys than the ones this network was created with. Nothing was sent. Ask the operator of this address to repair it.';
