/** What must hold after every step of a seal, whoever lies: N20-N27, N34, one spend per coin, supply. */
import { concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { decodeEntry, sectionKeyHash } from '#money/certificate.ts';
import { slotName, txidOf, type Transaction } from '#money/transaction.ts';
import { verifyTransaction } from '#money/verify.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import { charterHash, successorHash, type SignedSuccessor } from '#protocol/section/index.ts';
import { decodeSpentbookAnswer } from '#protocol/spentbook/index.ts';
import { networkId } from '../unit/money/fixtures.ts';
import type { DealtKey, Actor, Stage } from './seal-stage.ts';
import type { Seal, SealState } from './seal-state.ts';
import type { Observation } from './world.ts';

const good = new Set<string>();

/** What the world has seen of one run. */
export function watchSeal({
  old,
  heirs,
  actors,
  amounts,
  forged,
  liars,
}: {
  readonly old: DealtKey;
  readonly heirs: readonly DealtKey[];
  readonly liars: ReadonlySet<string>;
} & Pick<Stage, 'actors' | 'amounts' | 'forged'>) {
  const violations: string[] = [];
  const violate = (what: string): void => {
    if (!violations.includes(what)) violations.push(what);
  };
  const words = new Map<string, string>();
  const signers = new Map<string, Map<string, Set<string>>>();
  const records = new Map<string, Set<string>>();
  const byRequest = requestTable(actors, [old, ...heirs]);
  const merges = new Map<
    string,
    { readonly snapshots: readonly SignedSnapshot[]; readonly root: Uint8Array }
  >();
  const listed = new Set<string>();
  let published: SignedSuccessor | undefined;

  const check = ({ node, outputs, faults }: Observation<SealState, Seal>): void => {
    const { id, state } = node;
    const honest = !liars.has(id);
    if (honest) {
      for (const { culprit, kind: what } of faults) {
        const guilty = liars.has(culprit) || culprit === 'mallory';
        if (!guilty) violate(`noFalseBlame: ${what}`);
      }
    }
    // A choice that died before it was written was told to nobody: it was none.
    if (state.kind === 'elder' && honest && node.up && state.handover?.chosen) {
      const hash = toHex(successorHash(state.handover.chosen));
      records.set(hash, (records.get(hash) ?? new Set()).add(id));
      const chosen = [...records.values()].filter((who) => who.has(id)).length;
      if (chosen > 1) violate('N20: one elder chose two records');
      const able = [...records.values()].filter((who) => who.size + 2 >= 5).length;
      if (able > 1) violate('N20: two successors can be signed');
      const named = heirs.map(({ charter }) => toHex(charterHash(charter))).join();
      const signed = state.handover.chosen.children.map((each) => toHex(each.charterHash)).join();
      if (named !== signed) violate('N21: another session succeeds');
    }
    if (state.kind === 'elder' && honest && state.handover?.released === true) {
      const { receipts } = state.handover;
      for (const at of heirs.keys()) {
        const count = [...receipts.values()].filter((each) => each.child === at).length;
        if (count < 5) violate('N27: snapshots released before five receipts');
      }
    }
    for (const output of outputs) {
      if (output.kind === 'said' && honest && state.kind === 'elder') {
        const answer = decodeSpentbookAnswer(output.message);
        if (!answer.ok) throw new Error('an honest elder speaks well');
        const { kind: word, request } = answer.value;
        if (word !== 'prepared' && word !== 'committed') continue;
        if (output.at === 'old' && state.handover?.stopped) violate('N22: signed after the seal');
        const asked = byRequest.get(toHex(request));
        if (asked === undefined || word !== 'committed') continue;
        const where = `${asked.slot}|${toHex(asked.key)}`;
        const byTxid = signers.get(where) ?? new Map<string, Set<string>>();
        signers.set(where, byTxid);
        byTxid.set(asked.txid, (byTxid.get(asked.txid) ?? new Set()).add(id));
        finalOnce(signers, asked.slot, liars.size, violate);
      } else if (output.kind === 'registered' && honest) {
        // A restart says old lines again; only a new one after the stop is a fault.
        const line = `${id}|${toHex(output.entry)}`;
        const stopped = state.kind === 'elder' && state.handover?.stopped;
        if (output.at === 'old' && stopped && !listed.has(line)) {
          violate('N22: listed after the seal');
        }
        listed.add(line);
        registered(output.entry, amounts, forged, violate);
      } else if (output.kind === 'payment') {
        const said = output.output;
        if (said.kind === 'waiting') words.set(id, `waiting ${said.reason.kind}`);
        else if (said.kind !== 'prepared' && said.kind !== 'outdated') words.set(id, said.kind);
      } else if (output.kind === 'handover' && honest) {
        const said = output.output;
        if (said.kind === 'propose') {
          const { snapshots, sealedRoot: root } = said;
          merges.set(toHex(concat(...snapshots.map(({ root: each }) => each), root)), {
            snapshots,
            root,
          });
          if (state.kind === 'elder') {
            const { handover: own } = state;
            const all = snapshots.every(({ elder }) => own?.held.has(elder) === true);
            if (!all) violate('N23: proposed what it does not hold');
          }
        }
        if (said.kind === 'succeeded' && published === undefined) published = said.signed;
      }
    }
  };

  return {
    check,
    violate,
    violations,
    words,
    merges,
    /** The successor record as soon as somebody has it whole. */
    get published() {
      return published;
    },
  };
}

/** Two transactions of one slot, each with shares enough that liars could finish its certificate. */
function finalOnce(
  signers: ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>,
  slot: string,
  liars: number,
  violate: (what: string) => void,
): void {
  const able = new Set<string>();
  for (const [where, byTxid] of signers) {
    if (!where.startsWith(slot)) continue;
    // Liars are old elders; of those that stay, the new key is told lies, too.
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
  if (good.has(toHex(bytes))) return; // A pure check, paid for once.
  const entry = decodeEntry(bytes);
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
interface Asked {
  readonly slot: string;
  readonly txid: string;
  readonly key: Uint8Array;
}

/** Which slot, transaction and section key a commit request id is about (payment/sections.ts). */
function requestTable(
  actors: readonly Actor[],
  keys: readonly DealtKey[],
): ReadonlyMap<string, Asked> {
  const table = new Map<string, Asked>();
  for (const { transaction } of actors) {
    const txid = txidOf(transaction);
    for (const [index, { keyImage }] of transaction.inputs.entries()) {
      for (const { charter } of keys) {
        const { key } = charter;
        const at = Uint8Array.of(index);
        const phase = utf8('committing');
        const id = labelledHash('safe/v1/payment/request', txid, phase, at, sectionKeyHash(key));
        const slot = toHex(slotName(keyImage));
        table.set(toHex(id.slice(0, 16)), { slot, txid: toHex(txid), key });
      }
    }
  }
  return table;
}
