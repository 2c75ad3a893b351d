/**
 * Properties that hold after every step of a seal, with any lies: N20-N27, N34, one spend per coin,
 * supply.
 */
import { concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { decodeRegistryEntry, sectionKeyHash } from '#money/spend-certificate.ts';
import { slotName, txidOf, type Transaction } from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify-transaction.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import { charterHash, successorHash, type SignedSuccessor } from '#protocol/section/index.ts';
import { decodeSpentbookAnswer } from '#protocol/spentbook/index.ts';
import { networkId } from '../../unit/money/fixtures.ts';
import type { DealtKey, HandoverMoneyActor, HandoverMoneySetup } from './handover-money-setup.ts';
import type { HandoverMoneyProtocol, HandoverMoneyState } from './handover-money-protocol.ts';
import type { Observation } from '../world.ts';

const good = new Set<string>();

/** Observations of one run. */
export function watchHandoverMoney({
  old,
  successors,
  actors,
  amounts,
  forged,
  liars,
}: {
  readonly old: DealtKey;
  readonly successors: readonly DealtKey[];
  readonly liars: ReadonlySet<string>;
} & Pick<HandoverMoneySetup, 'actors' | 'amounts' | 'forged'>) {
  const violations: string[] = [];
  const violate = (what: string): void => {
    if (!violations.includes(what)) violations.push(what);
  };
  const lastStates = new Map<string, string>();
  const signers = new Map<string, Map<string, Set<string>>>();
  const records = new Map<string, Set<string>>();
  const byRequest = requestTable(actors, [old, ...successors]);
  const merges = new Map<
    string,
    { readonly snapshots: readonly SignedSnapshot[]; readonly root: Uint8Array }
  >();
  const listed = new Set<string>();
  let published: SignedSuccessor | undefined;

  const check = ({
    node,
    outputs,
    faults,
  }: Observation<HandoverMoneyState, HandoverMoneyProtocol>): void => {
    const { id, state } = node;
    const honest = !liars.has(id);
    if (honest) {
      for (const { culprit, kind: what } of faults) {
        const guilty = liars.has(culprit) || culprit === 'mallory';
        if (!guilty) violate(`noFalseBlame: ${what}`);
      }
    }
    // A choice that a crash lost before it was written was not sent: ignore it.
    if (state.kind === 'elder' && honest && node.up && state.handover?.chosenRecord) {
      const hash = toHex(successorHash(state.handover.chosenRecord));
      records.set(hash, (records.get(hash) ?? new Set()).add(id));
      const chosen = [...records.values()].filter((who) => who.has(id)).length;
      if (chosen > 1) violate('N20: one elder chose two records');
      const able = [...records.values()].filter((who) => who.size + 2 >= 5).length;
      if (able > 1) violate('N20: two successors can be signed');
      const named = successors.map(({ charter }) => toHex(charterHash(charter))).join();
      const signed = state.handover.chosenRecord.children
        .map((each) => toHex(each.charterHash))
        .join();
      if (named !== signed) violate('N21: another session succeeds');
    }
    if (state.kind === 'elder' && honest && state.handover?.released === true) {
      const { receipts } = state.handover;
      for (const at of successors.keys()) {
        const count = [...receipts.values()].filter((each) => each.child === at).length;
        if (count < 5) violate('N27: snapshots released before five receipts');
      }
    }
    for (const output of outputs) {
      if (output.kind === 'sent' && honest && state.kind === 'elder') {
        const answer = decodeSpentbookAnswer(output.message);
        if (!answer.ok) throw new Error('an honest elder sends valid answers');
        const { kind: answerKind, request } = answer.value;
        if (answerKind !== 'prepared' && answerKind !== 'committed') continue;
        if (output.at === 'old' && state.handover?.ownSnapshot)
          violate('N22: signed after the seal');
        const asked = byRequest.get(toHex(request));
        if (asked === undefined || answerKind !== 'committed') continue;
        const where = `${asked.slot}|${toHex(asked.key)}`;
        const byTxid = signers.get(where) ?? new Map<string, Set<string>>();
        signers.set(where, byTxid);
        byTxid.set(asked.txid, (byTxid.get(asked.txid) ?? new Set()).add(id));
        finalOnce(signers, asked.slot, liars.size, violate);
      } else if (output.kind === 'registered' && honest) {
        // A restart outputs old entries again; only a new one after the freeze is a fault.
        const line = `${id}|${toHex(output.entry)}`;
        const stopped = state.kind === 'elder' && state.handover?.ownSnapshot;
        if (output.at === 'old' && stopped && !listed.has(line)) {
          violate('N22: listed after the seal');
        }
        listed.add(line);
        registered(output.entry, amounts, forged, violate);
      } else if (output.kind === 'payment') {
        const emitted = output.output;
        if (emitted.kind === 'waiting') lastStates.set(id, `waiting ${emitted.reason.kind}`);
        else if (emitted.kind !== 'committing' && emitted.kind !== 'outdated')
          lastStates.set(id, emitted.kind);
      } else if (output.kind === 'handover' && honest) {
        const emitted = output.output;
        if (emitted.kind === 'propose') {
          const { snapshots, sealedRoot: root } = emitted;
          merges.set(toHex(concat(...snapshots.map(({ root: each }) => each), root)), {
            snapshots,
            root,
          });
          if (state.kind === 'elder') {
            const { handover: own } = state;
            const all = snapshots.every(({ elder }) => own?.heldSnapshots.has(elder) === true);
            if (!all) violate('N23: proposed what it does not hold');
          }
        }
        if (emitted.kind === 'succeeded' && published === undefined) published = emitted.signed;
      }
    }
  };

  return {
    check,
    violate,
    violations,
    lastStates,
    merges,
    /** The successor record as soon as one elder has it complete. */
    get published() {
      return published;
    },
  };
}

/**
 * Reports two transactions of one slot that both have enough shares for liars to complete a
 * certificate.
 */
function finalOnce(
  signers: ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>,
  slot: string,
  liars: number,
  violate: (what: string) => void,
): void {
  const able = new Set<string>();
  for (const [where, byTxid] of signers) {
    if (!where.startsWith(slot)) continue;
    // Liars are old elders; those that stay lie under the new key, too.
    for (const [txid, who] of byTxid) if (who.size + liars >= 5) able.add(txid);
  }
  if (able.size > 1) violate('noDoubleSpend: two transactions of one slot can be final');
}

function registered(
  bytes: Uint8Array,
  amounts: ReadonlyMap<string, bigint>,
  forged: Transaction,
  violate: (what: string) => void,
): void {
  if (good.has(toHex(bytes))) return; // Pure: check each entry once.
  const entry = decodeRegistryEntry(bytes);
  if (!entry.ok) throw new Error('a listed line decodes');
  const valid = verifyTransaction(entry.value.transaction, networkId, 'certified');
  if (!valid.ok) return violate(`supplyConserved: registered though ${valid.error}`);
  if (equalBytes(txidOf(valid.value), txidOf(forged))) {
    return violate('N34: a forged spend is listed');
  }
  const known = valid.value.inputs.every(
    ({ oneTimeKey, amount }) => amounts.get(toHex(oneTimeKey)) === amount,
  );
  if (!known) return violate('supplyConserved: an input from nowhere');
  good.add(toHex(bytes));
}
interface RequestSeen {
  readonly slot: string;
  readonly txid: string;
  readonly key: Uint8Array;
}

/** The slot, transaction and section key of each commit request id (payment/request-plan.ts). */
function requestTable(
  actors: readonly HandoverMoneyActor[],
  keys: readonly DealtKey[],
): ReadonlyMap<string, RequestSeen> {
  const table = new Map<string, RequestSeen>();
  for (const { transaction } of actors) {
    const txid = txidOf(transaction);
    for (const [index, { keyImage }] of transaction.inputs.entries()) {
      for (const { charter } of keys) {
        const { key } = charter;
        const at = Uint8Array.of(index);
        const phase = utf8('committing');
        const ballot = new Uint8Array(8);
        const hash = sectionKeyHash(key);
        const id = labelledHash('safe/v1/payment/request', txid, phase, at, hash, ballot);
        const slot = toHex(slotName(keyImage));
        table.set(toHex(id.slice(0, 16)), { slot, txid: toHex(txid), key });
      }
    }
  }
  return table;
}
