/**
 * Looks for payments to this Safe: pages through the elders' lists of registered outputs with the
 * view key. One elder may leave a line out, so every elder's list is read in turn.
 */
import { toHex } from '#core/codec/bytes.ts';
import { decodeCbor } from '#core/codec/cbor.ts';
import { bool, bytesUpTo, intBetween, listOf, record } from '#core/codec/shape.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import type { WalletKeys } from '#money/keys.ts';
import { decodeEntry, encodeEntry, maxEntryBytes, type SectionKeys } from '#money/certificate.ts';
import { scanEntry, type WalletState } from '#safe/wallet/index.ts';
import { getCursor, putCursor } from '#storage/browser/payments.ts';
import type { AuthorityReader } from '../authority.ts';
import type { Rpc } from '../rpc.ts';
import { withPaths } from './paths.ts';

const pageShape = record({
  entries: listOf(bytesUpTo(maxEntryBytes), 256),
  next: intBetween(0, 2 ** 48),
  more: bool,
});

/** Lists read in one round: two, so that one silent or lying elder delays nothing. */
const eldersPerRound = 2;
/** Pages read from one list in one round; the rest waits for the next. */
const pagesPerRound = 16;

export interface Incoming {
  /** @returns the wallet with what was found, the same object when nothing was. */
  readonly look: (state: WalletState) => Promise<WalletState>;
}

export function createIncoming(
  rpc: Rpc,
  keys: WalletKeys,
  section: AuthorityReader,
  owner: string,
  now: () => number,
): Incoming {
  let turn = 0;

  const scan = async (
    sections: SectionKeys,
    state: WalletState,
    entry: Uint8Array,
  ): Promise<ReturnType<typeof scanEntry>> => {
    const scanner = { keys, sections, suite: blsSuite };
    const scanned = scanEntry(scanner, state, entry, now());
    const decoded = decodeEntry(entry);
    if (scanned.ok || scanned.error !== 'superseded' || !decoded.ok) return scanned;
    const proven = await withPaths(rpc, sections, decoded.value);
    return scanEntry(scanner, state, encodeEntry(proven), now());
  };

  const readList = async (
    sections: SectionKeys,
    elder: string,
    state: WalletState,
  ): Promise<WalletState> => {
    const place = `${owner}/${elder}`;
    let after = await getCursor(place);
    let learnt = state;
    for (let page = 0; page < pagesPerRound; page++) {
      const body = JSON.stringify({ elder, after });
      const response = await rpc.call('outputs', { body });
      const decoded = decodeCbor(new Uint8Array(await response.arrayBuffer()));
      const list = decoded.ok ? pageShape(decoded.value) : undefined;
      if (list === undefined) return learnt;
      for (const entry of list.entries) {
        const scanned = await scan(sections, learnt, entry);
        // A line that does not verify is that elder's lie; the others' lists have the true one.
        if (scanned.ok) learnt = scanned.value;
      }
      // A list shorter than our place in it was made anew: read it from its beginning.
      after = list.next < after ? 0 : list.next;
      if (!list.more) break;
    }
    pending.push({ place, after });
    return learnt;
  };
  let pending: { readonly place: string; readonly after: number }[] = [];

  return {
    look: async (state) => {
      // Coins come to the section of their own address: every section has a list.
      const elders = (await section.sections()).flatMap((each) => each.elders);
      const sections = await section.moneyKeys();
      // Places are kept only now: what was found before has been stored by our caller.
      for (const { place, after } of pending.splice(0)) await putCursor(place, after);
      pending = [];
      let learnt = state;
      let heard = 0;
      for (let tried = 0; tried < elders.length && heard < eldersPerRound; tried++) {
        const elder = elders[turn++ % elders.length];
        if (elder === undefined) break;
        try {
          learnt = await readList(sections, toHex(elder.name), learnt);
          heard += 1;
        } catch {
          // This elder does not answer: the next one's list will do for this round.
        }
      }
      return learnt;
    },
  };
}
