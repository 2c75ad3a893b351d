/**
 * Looks for payments to this Safe: pages through the elders' lists of registered outputs with the
 * view key. One elder may leave a line out, so every elder's list is read in turn.
 */
import { matches } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import { decodeCbor } from '#core/codec/cbor.ts';
import { bool, bytesUpTo, intBetween, listOf, record } from '#core/codec/shape.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { WalletKeys } from '#money/keys.ts';
import { decodeEntry, encodeEntry, maxEntryBytes, type SectionKeys } from '#money/certificate.ts';
import { decodeTransaction, slotName } from '#money/transaction.ts';
import {
  addPlaces,
  leaveAt,
  maxListPosition,
  mergePlace,
  readAgain,
  scanEntry,
  takesIn,
  unreadList,
  walletBytes,
  type ListPlace,
  type Scanned,
  type WalletState,
} from '#safe/wallet/index.ts';
import type { AuthorityReader } from '../authority.ts';
import type { Rpc } from '../rpc.ts';
import { withPaths } from './paths.ts';

const maxEntriesPerPage = 256;
const pageShape = record({
  entries: listOf(bytesUpTo(maxEntryBytes), maxEntriesPerPage),
  next: intBetween(0, maxListPosition),
  more: bool,
});

/** Lists read in one round: two, so that one silent or lying elder delays nothing. */
const eldersPerRound = 2;
/** Pages read from one list in one round; the rest waits for the next. */
const pagesPerRound = 16;
/** Places are written with the next coin, or when this much would have to be read again. */
const keepPlaceEvery = 1024;
/** Places alone are not written more often: an elder may lie about the length of its list for ever. */
const keepPlacesEveryMs = 10 * 60_000;

export interface Incoming {
  /**
   * Reads on in some lists.
   * @param save makes what was found durable; only then are the lists taken as read so far
   */
  readonly look: (state: WalletState, save: (found: WalletState) => Promise<void>) => Promise<void>;
}

export interface IncomingParts {
  readonly rpc: Rpc;
  readonly keys: WalletKeys;
  readonly section: AuthorityReader;
  readonly suite: ThresholdSuite;
  readonly now: () => number;
  /** Fires when the Safe is locked. */
  readonly closed: AbortSignal;
}

interface Read {
  readonly learnt: WalletState;
  readonly place: ListPlace;
}

export function createIncoming(parts: IncomingParts): Incoming {
  const { rpc, keys, section, suite, now, closed } = parts;
  let turn = 0;
  let keptAtMs = -Infinity;
  /** By elder, for this unlocking: at or beyond the stored places, and never beyond stored coins. */
  const places = new Map<string, ListPlace>();

  const scan = async (
    sections: SectionKeys,
    state: WalletState,
    entry: Uint8Array,
  ): Promise<ReturnType<typeof scanEntry>> => {
    const scanner = { keys, sections, suite, takes: takesIn };
    const scanned = scanEntry(scanner, state, entry, now());
    const decoded = decodeEntry(entry);
    if (scanned.ok || scanned.error !== 'superseded' || !decoded.ok) return scanned;
    const proven = await withPaths(rpc, sections, decoded.value);
    closed.throwIfAborted();
    return scanEntry(scanner, state, encodeEntry(proven), now());
  };

  const placeIn = (state: WalletState, elder: string): ListPlace => {
    const stored = state.lists.get(elder) ?? unreadList;
    const place = mergePlace(stored, places.get(elder) ?? stored);
    // There is room again for what was left in the network.
    const fits = place.left !== null && takesIn(walletBytes(state), place.left.largest);
    return fits ? readAgain(place) : place;
  };

  const readList = async (
    sections: SectionKeys,
    elder: string,
    state: WalletState,
  ): Promise<Read> => {
    let place = placeIn(state, elder);
    let learnt = state;
    for (let page = 0; page < pagesPerRound; page++) {
      const { after } = place;
      const body = JSON.stringify({ elder, after });
      const response = await rpc.call('outputs', { body });
      const decoded = decodeCbor(new Uint8Array(await response.arrayBuffer()));
      const list = decoded.ok ? pageShape(decoded.value) : undefined;
      if (list === undefined) break;
      let pageLearnt = learnt;
      let next = place;
      let ahead = false;
      for (const entry of list.entries) {
        closed.throwIfAborted();
        const scanned = await scan(sections, pageLearnt, entry);
        // A line that does not verify is that elder's lie; the others' lists have the true one.
        if (scanned.ok) {
          pageLearnt = scanned.value.state;
          next = leftIn(next, after, scanned.value);
        } else if (scanned.error === 'unknownKey') ahead ||= isAhead(sections, entry);
      }
      learnt = pageLearnt;
      // The section may have moved on unheard of: this page is read again when its key is known.
      if (ahead) break;
      // A list shorter than our place in it was made anew: read it from its beginning.
      place =
        list.next < after
          ? readAgain({ ...next, left: { from: 0, largest: 0n } })
          : { ...next, after: list.next };
      if (!list.more) break;
    }
    return { learnt, place };
  };

  const worthKeeping = (state: WalletState, elder: string, place: ListPlace): boolean => {
    const stored = state.lists.get(elder) ?? unreadList;
    return (
      place.generation !== stored.generation ||
      place.left?.from !== stored.left?.from ||
      place.after >= stored.after + keepPlaceEvery
    );
  };

  return {
    look: async (state, save) => {
      // Coins come to the section of their own address: every section has a list.
      const elders = (await section.sections()).flatMap((each) => each.elders);
      const sections = await section.moneyKeys();
      let learnt = state;
      let heard = 0;
      const read = new Map<string, ListPlace>();
      for (let tried = 0; tried < elders.length && heard < eldersPerRound; tried++) {
        const elder = elders[turn++ % elders.length];
        if (elder === undefined) break;
        const name = toHex(elder.name);
        try {
          const list = await readList(sections, name, learnt);
          learnt = list.learnt;
          read.set(name, list.place);
          heard += 1;
        } catch {
          closed.throwIfAborted();
          // This elder does not answer: the next one's list will do for this round.
        }
      }
      const worth = [...read].some(([elder, place]) => worthKeeping(state, elder, place));
      if (learnt !== state || (worth && now() - keptAtMs >= keepPlacesEveryMs)) {
        await save(addPlaces(learnt, new Map([...places, ...read])));
        keptAtMs = now();
      }
      for (const [elder, place] of read) places.set(elder, place);
    },
  };
}

/**
 * Is it signed by a key that may still be heard of? Of a long history the oldest keys are forgotten: who
 * waited for them would never read on.
 */
function isAhead({ current, superseded }: SectionKeys, bytes: Uint8Array): boolean {
  const entry = decodeEntry(bytes);
  const transaction = entry.ok ? decodeTransaction(entry.value.transaction) : entry;
  if (!entry.ok || !transaction.ok) return false;
  return transaction.value.inputs.some(({ keyImage }, index) => {
    const epoch = entry.value.certificates[index]?.epoch ?? 0n;
    const slot = slotName(keyImage);
    const known = [...current, ...superseded].filter(({ prefix }) => matches(prefix, slot));
    return known.every((key) => key.epoch < epoch);
  });
}

const leftIn = (place: ListPlace, from: number, { left }: Scanned): ListPlace =>
  left === null ? place : leaveAt(place, from, left);
