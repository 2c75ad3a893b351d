/**
 * Finds payments to this Safe: reads the elders' lists of registered outputs with the view key. A single
 * elder may omit a line, so every elder's list is read in turn.
 */
import { matches } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { WalletKeys } from '#money/wallet-keys.ts';
import {
  decodeRegistryEntry,
  encodeRegistryEntry,
  type SectionKeys,
} from '#money/spend-certificate.ts';
import { decodeTransaction, slotName } from '#money/transaction.ts';
import {
  addListPositions,
  withSkipped,
  mergeListPosition,
  rereadSkipped,
  scanEntry,
  acceptsCoin,
  startOfList,
  walletBytes,
  type ListPosition,
  type WalletState,
} from '#safe/wallet/index.ts';
import type { VerifiedSections } from '../network/verified-sections.ts';
import type { WorkerRpc } from '../network/worker-rpc.ts';
import { fetchInclusionProofs } from './fetch-inclusion-proofs.ts';

/** Lists read per round: two, so that one unresponsive or dishonest elder delays nothing. */
const eldersPerRound = 2;
/** Pages read from one list per round; the rest waits for the next. */
const pagesPerRound = 16;
/** Positions are stored with the next coin, or after this many new entries. */
const savePositionEvery = 1024;
/** The minimum interval for storing positions alone: an elder may lengthen its list for ever. */
const savePositionsEveryMs = 10 * 60_000;

export interface IncomingPayments {
  /**
   * Continues reading some of the lists.
   * @param save makes the found coins durable; only then do the positions advance
   */
  readonly scanLists: (
    state: WalletState,
    save: (found: WalletState) => Promise<void>,
  ) => Promise<void>;
}

export interface IncomingOptions {
  readonly rpc: WorkerRpc;
  readonly keys: WalletKeys;
  readonly section: VerifiedSections;
  readonly suite: ThresholdSuite;
  readonly now: () => number;
  /** Fires when the Safe is locked. */
  readonly closed: AbortSignal;
}

interface ListRead {
  readonly found: WalletState;
  readonly position: ListPosition;
}

export function createIncomingPayments(options: IncomingOptions): IncomingPayments {
  const { section, now, closed } = options;
  let turn = 0;
  let savedAtMs = -Infinity;
  /** Per elder, for this unlocking: at or beyond the stored positions, and never beyond stored coins. */
  const positions = new Map<string, ListPosition>();

  return {
    scanLists: async (state, save) => {
      // Coins go to the section of their own address: every section has a list.
      const elders = (await section.sections()).flatMap((each) => each.elders);
      const sections = await section.moneyKeys();
      let found = state;
      let answered = 0;
      const read = new Map<string, ListPosition>();
      for (let tried = 0; tried < elders.length && answered < eldersPerRound; tried++) {
        const elder = elders[turn++ % elders.length];
        if (elder === undefined) break;
        const name = toHex(elder.name);
        try {
          const from = positionIn(found, name, positions.get(name));
          const list = await readList(options, sections, elder.name, { found, position: from });
          found = list.found;
          read.set(name, list.position);
          answered += 1;
        } catch {
          closed.throwIfAborted();
          // This elder does not answer: the next one's list is enough for this round.
        }
      }
      const shouldSaveAny = [...read].some(([elder, position]) =>
        shouldSave(state, elder, position),
      );
      if (found !== state || (shouldSaveAny && now() - savedAtMs >= savePositionsEveryMs)) {
        await save(addListPositions(found, new Map([...positions, ...read])));
        savedAtMs = now();
      }
      for (const [elder, position] of read) positions.set(elder, position);
    },
  };
}

function positionIn(state: WalletState, elder: string, read?: ListPosition): ListPosition {
  const stored = state.lists.get(elder) ?? startOfList;
  const position = mergeListPosition(stored, read ?? stored);
  // There is space again for skipped outputs.
  const fits =
    position.skipped !== null && acceptsCoin(walletBytes(state), position.skipped.largest);
  return fits ? rereadSkipped(position) : position;
}

function shouldSave(state: WalletState, elder: string, position: ListPosition): boolean {
  const stored = state.lists.get(elder) ?? startOfList;
  return (
    position.generation !== stored.generation ||
    position.skipped?.from !== stored.skipped?.from ||
    position.after >= stored.after + savePositionEvery
  );
}

async function readList(
  options: IncomingOptions,
  sections: SectionKeys,
  elder: Uint8Array,
  from: ListRead,
): Promise<ListRead> {
  let { found, position } = from;
  for (let page = 0; page < pagesPerRound; page++) {
    const { after } = position;
    const list = await options.rpc('outputs', { elder, after });
    const read = await scanPage(options, sections, list.entries, { found, position });
    found = read.found;
    // A key may be missing: this page is read again when it is known.
    if (read.hasNewerKey) break;
    // A list shorter than our position was rebuilt: restart it.
    position =
      list.next < after
        ? rereadSkipped({ ...read.position, skipped: { from: 0, largest: 0n } })
        : { ...read.position, after: list.next };
    if (!list.more) break;
  }
  return { found, position };
}

/** @returns the position as before the page, but with outputs that the wallet had no space for */
async function scanPage(
  options: IncomingOptions,
  sections: SectionKeys,
  entries: readonly Uint8Array[],
  from: ListRead,
): Promise<ListRead & { readonly hasNewerKey: boolean }> {
  let { found, position } = from;
  let hasNewerKey = false;
  for (const entry of entries) {
    options.closed.throwIfAborted();
    const scanned = await scan(options, sections, found, entry);
    // A line that does not verify is this elder's fault; the others' lists have the true one.
    if (scanned.ok) {
      const { state, skipped } = scanned.value;
      found = state;
      if (skipped !== null) position = withSkipped(position, from.position.after, skipped);
    } else if (scanned.error === 'unknownKey') {
      hasNewerKey ||= isSignedByNewerKey(sections, entry);
    }
  }
  return { found, position, hasNewerKey };
}

async function scan(
  { rpc, keys, suite, now, closed }: IncomingOptions,
  sections: SectionKeys,
  state: WalletState,
  entry: Uint8Array,
): Promise<ReturnType<typeof scanEntry>> {
  const scanner = { keys, sections, suite, acceptsCoin };
  const scanned = scanEntry(scanner, state, entry, now());
  const decoded = decodeRegistryEntry(entry);
  if (scanned.ok || scanned.error !== 'needsInclusionProof' || !decoded.ok) return scanned;
  const proven = await fetchInclusionProofs(rpc, sections, decoded.value);
  closed.throwIfAborted();
  return scanEntry(scanner, state, encodeRegistryEntry(proven), now());
}

/**
 * Is it signed by a key that may still become known? The oldest keys of a long history are dropped: waiting
 * for them would block the list for ever.
 */
function isSignedByNewerKey({ current, superseded }: SectionKeys, bytes: Uint8Array): boolean {
  const entry = decodeRegistryEntry(bytes);
  const transaction = entry.ok ? decodeTransaction(entry.value.transaction) : entry;
  if (!entry.ok || !transaction.ok) return false;
  return transaction.value.inputs.some(({ keyImage }, index) => {
    const epoch = entry.value.certificates[index]?.epoch ?? 0n;
    const slot = slotName(keyImage);
    const known = [...current, ...superseded].filter(({ prefix }) => matches(prefix, slot));
    return known.every((key) => key.epoch < epoch);
  });
}
