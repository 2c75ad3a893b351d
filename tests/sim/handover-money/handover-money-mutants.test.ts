/**
 * Goal: the checkers of handover-money.test.ts notice when any one rule is missing.
 * Method: one bug planted at a time; some seed must fail for the right reason.
 */
import { describe, expect, test, vi } from 'vitest';
import { ok } from '#core/result.ts';
import { decodeSnapshotEntry, mergeSnapshots, snapshotRoot } from '#money/snapshot.ts';
import { verifySpendCertificates } from '#money/spend-certificate.ts';
import { decodeTransaction, txidOf } from '#money/transaction.ts';
import { addPage, handover, inheritPage, type HandoverState } from '#protocol/handover/index.ts';
import { mint, performMintJob } from '#protocol/mint/index.ts';
import { charterHash, successorRecordOf } from '#protocol/section/index.ts';
import { spentbook } from '#protocol/spentbook/index.ts';
import { honestHandoverMoney, type HandoverMoneyParts } from './handover-money-protocol.ts';
import { runHandoverMoney } from '../scenarios/seal.ts';

vi.setConfig({ testTimeout: 120_000 });

interface Mutant {
  readonly name: string;
  readonly parts: Partial<HandoverMoneyParts>;
  readonly found: RegExp;
  /** The first seed to run; earlier ones do not show the bug. */
  readonly from?: number;
}

const empty = (): HandoverState['receipts'] => new Map();

const mutants: readonly Mutant[] = [
  {
    name: 'N20: a second record replaces the first',
    parts: {
      handover: {
        ...handover,
        step: (config, state, event, context) => {
          const again = event.kind === 'input' && event.input.kind === 'sealed';
          const withoutChoice = again ? { ...state, chosenRecord: null } : state;
          return handover.step(config, withoutChoice, event, context);
        },
      },
    },
    found: /N20/,
  },
  {
    name: 'N20: a choice is sent and never written',
    from: 9,
    parts: {
      handover: {
        ...handover,
        step: (config, state, event, context) => {
          const step = handover.step(config, state, event, context);
          const effects = step.effects.filter(
            (effect) => effect.kind !== 'persist' || effect.fact.kind !== 'recordChosen',
          );
          return { state: step.state, effects };
        },
      },
    },
    found: /N20/,
  },
  {
    name: 'N21: a handover that was decided is abandoned for another session',
    parts: {
      handover: {
        ...handover,
        step: (config, state, event, context) => {
          if (event.kind !== 'input' || event.input.kind !== 'sealed') {
            return handover.step(config, state, event, context);
          }
          const record = successorRecordOf(event.input.state);
          const { phase } = config.closing.ledger;
          const decided = phase.kind === 'open' ? [] : phase.charters;
          const other = record?.children.some(
            (child, at) =>
              String(child.charterHash) !== String(decided[at] && charterHash(decided[at])),
          );
          return other === true && record !== undefined && state.chosenRecord === null
            ? { state: { ...state, chosenRecord: record }, effects: [] }
            : handover.step(config, state, event, context);
        },
      },
    },
    found: /N21|progress/,
  },
  {
    name: 'N22: the spentbook keeps signing after the freeze',
    from: 3,
    parts: {
      spentbook: {
        ...spentbook,
        step: (config, state, event, context) =>
          spentbook.step({ ...config, sealed: false }, state, event, context),
      },
    },
    found: /N22|noDoubleSpend/,
  },
  {
    name: 'N22: the mint keeps listing after the freeze, and the entry is not inherited',
    parts: {
      mint: {
        ...mint,
        step: (config, state, event, context) =>
          mint.step({ ...config, sealed: false }, state, event, context),
      },
    },
    found: /N22/,
  },
  {
    name: 'N23: a signed root counts as a snapshot that is held',
    parts: {
      handover: {
        ...handover,
        step: (config, state, event, context) => {
          const before = { ...state, heldSnapshots: new Set(state.roots.keys()) };
          return handover.step(config, before, event, context);
        },
      },
    },
    found: /N23/,
  },
  {
    name: 'N27: old elders release their snapshots immediately',
    from: 2,
    parts: {
      handover: {
        ...handover,
        step: (config, state, event, context) => {
          const step = handover.step(config, state, event, context);
          const { successor, released } = step.state;
          if (successor === null || released || state.activated) return step;
          return {
            state: { ...step.state, released: true, receipts: empty() },
            effects: [...step.effects, { kind: 'output', output: { kind: 'releaseSnapshots' } }],
          };
        },
      },
    },
    found: /N27/,
  },
  {
    name: 'N34: a certificate of an ended epoch counts without its inclusion proof',
    parts: {
      mintJob: (job, suite) => {
        const result = performMintJob(job, suite);
        const decoded = decodeTransaction(job.entry.transaction);
        if (result.kind !== 'unproven' || !decoded.ok) return result;
        const { known, entry } = job;
        const lax = verifySpendCertificates(
          known,
          suite,
          'COMMIT',
          decoded.value,
          entry.certificates,
          'anyKnownKey',
        );
        return lax.ok ? { kind: 'verified', txid: txidOf(decoded.value) } : result;
      },
    },
    found: /N34/,
  },
  {
    name: 'HANDOVER-R6: new elders start with an empty spentbook',
    parts: {
      addPage: (slots, outputs, epoch, page) => {
        if (epoch === 0n) addPage(slots, outputs, epoch, page);
      },
    },
    found: /noDoubleSpend/,
  },
  {
    name: 'HANDOVER-R6: only the first page of the list of an epoch is inherited',
    from: 3,
    parts: {
      inheritPage: (root, page, prefix) =>
        page.start === 0 ? inheritPage(root, page, prefix) : ok({ slots: [], outputs: [] }),
    },
    found: /noDoubleSpend/,
  },
  {
    name: 'HANDOVER-R6: each page replaces the earlier ones of its epoch',
    parts: {
      addPage: (slots, outputs, epoch, page) => {
        for (const [name, { inclusions }] of slots) {
          if (inclusions.at(-1)?.epoch === epoch) slots.delete(name);
        }
        addPage(slots, outputs, epoch, page);
      },
    },
    found: /noDoubleSpend/,
  },
  {
    name: 'N34: the position of an entry is counted from its page',
    from: 16,
    parts: {
      inheritPage: (root, page, prefix) => {
        const inherited = inheritPage(root, page, prefix);
        if (!inherited.ok) return inherited;
        const slots = inherited.value.slots.map(({ entry, path }) => ({
          entry,
          path: { ...path, index: path.index - page.start },
        }));
        return ok({ ...inherited.value, slots });
      },
    },
    found: /progress/,
  },
  {
    name: 'HANDOVER-R6: a page is accepted without its proof',
    parts: {
      openPage: (_root, { entries }) => {
        const decoded = entries.map(decodeSnapshotEntry);
        return ok(decoded.flatMap((entry) => (entry.ok ? [entry.value] : [])));
      },
    },
    found: /N23: merged what it does not hold|N34: an archive of ours is otherRoot/,
  },
  {
    name: 'HANDOVER-R6: bundles are dropped when snapshots merge',
    from: 3,
    parts: {
      merge: (snapshots) => {
        const merged = mergeSnapshots(snapshots);
        const entries = merged.entries.filter(({ kind }) => kind !== 'bound');
        return { entries, sealedRoot: snapshotRoot(entries) };
      },
    },
    found: /noDoubleSpend/,
  },
];

describe('planted bugs', () => {
  test.each(mutants)('$name → found', ({ parts, found, from = 1 }) => {
    const whole: HandoverMoneyParts = { ...honestHandoverMoney, ...parts };
    let reason = '';
    for (let seed = from; seed < from + 24 && !found.test(reason); seed++) {
      try {
        reason = runHandoverMoney(seed, whole).violations.join('; ');
      } catch (cause) {
        reason = String(cause);
      }
    }
    expect(reason).toMatch(found);
  });
});
