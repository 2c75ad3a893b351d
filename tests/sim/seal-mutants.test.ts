/**
 * Goal: the checkers of seal.test.ts notice every rule's absence.
 * Method: one bug planted at a time; some seed must fail for the right reason.
 */
import { describe, expect, test, vi } from 'vitest';
import { ok } from '#core/result.ts';
import { decodeSealedEntry, mergeSnapshots, entriesRoot } from '#money/snapshot.ts';
import { verifyCertificates } from '#money/certificate.ts';
import { decodeTransaction, txidOf } from '#money/transaction.ts';
import { addPage, handover, inheritPage, type HandoverState } from '#protocol/handover/index.ts';
import { mint, performMintJob } from '#protocol/mint/index.ts';
import { charterHash, successorRecordOf } from '#protocol/section/index.ts';
import { spentbook } from '#protocol/spentbook/index.ts';
import { honestSeal, type SealParts } from './seal-state.ts';
import { runSeal } from './scenarios/seal.ts';

vi.setConfig({ testTimeout: 120_000 });

interface Mutant {
  readonly name: string;
  readonly parts: Partial<SealParts>;
  readonly found: RegExp;
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
          const forgetful = again ? { ...state, chosen: null } : state;
          return handover.step(config, forgetful, event, context);
        },
      },
    },
    found: /N20/,
  },
  {
    name: 'N20: a choice is told and never written',
    parts: {
      handover: {
        ...handover,
        step: (config, state, event, context) => {
          const step = handover.step(config, state, event, context);
          const effects = step.effects.filter(
            (effect) => effect.kind !== 'persist' || effect.fact.kind !== 'chose',
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
          return other === true && record !== undefined && state.chosen === null
            ? { state: { ...state, chosen: record }, effects: [] }
            : handover.step(config, state, event, context);
        },
      },
    },
    found: /N21|progress/,
  },
  {
    name: 'N22: the spentbook signs on after the stop',
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
    name: 'N22: the mint lists on after the stop, and nobody inherits the line',
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
          const before = { ...state, held: new Set(state.roots.keys()) };
          return handover.step(config, before, event, context);
        },
      },
    },
    found: /N23/,
  },
  {
    name: 'N27: old elders let go at once',
    parts: {
      handover: {
        ...handover,
        step: (config, state, event, context) => {
          const step = handover.step(config, state, event, context);
          const { successor, released } = step.state;
          if (successor === null || released || state.activated) return step;
          return {
            state: { ...step.state, released: true, receipts: empty() },
            effects: [...step.effects, { kind: 'output', output: { kind: 'release' } }],
          };
        },
      },
    },
    found: /N27/,
  },
  {
    name: 'N34: a certificate of an ended epoch counts without its path',
    parts: {
      mintJob: (job, suite) => {
        const result = performMintJob(job, suite);
        const decoded = decodeTransaction(job.entry.transaction);
        if (result.kind !== 'unproven' || !decoded.ok) return result;
        const { known, entry } = job;
        const lax = verifyCertificates(
          known,
          suite,
          'COMMIT',
          decoded.value,
          entry.certificates,
          'ever',
        );
        return lax.ok ? { kind: 'verified', txid: txidOf(decoded.value) } : result;
      },
    },
    found: /N34/,
  },
  {
    name: 'R6: new elders begin with an empty book',
    parts: {
      addPage: (slots, outputs, epoch, page) => {
        if (epoch === 0n) addPage(slots, outputs, epoch, page);
      },
    },
    found: /noDoubleSpend/,
  },
  {
    name: 'R6: only the first page of what an epoch left is inherited',
    parts: {
      inheritPage: (root, page, prefix) =>
        page.start === 0 ? inheritPage(root, page, prefix) : ok({ slots: [], outputs: [] }),
    },
    found: /noDoubleSpend/,
  },
  {
    name: 'R6: each page takes the place of the earlier ones of its epoch',
    parts: {
      addPage: (slots, outputs, epoch, page) => {
        for (const [name, { words }] of slots) {
          if (words.at(-1)?.epoch === epoch) slots.delete(name);
        }
        addPage(slots, outputs, epoch, page);
      },
    },
    found: /noDoubleSpend/,
  },
  {
    name: 'N34: the place of an entry is counted from its page',
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
    name: 'R6: a page is believed without its proof',
    parts: {
      openPage: (_root, { entries }) => {
        const decoded = entries.map(decodeSealedEntry);
        return ok(decoded.flatMap((entry) => (entry.ok ? [entry.value] : [])));
      },
    },
    found: /N23: merged what it does not hold|N34: an archive of ours is otherRoot/,
  },
  {
    name: 'R6: bundles are dropped when snapshots merge',
    parts: {
      merge: (snapshots) => {
        const merged = mergeSnapshots(snapshots);
        const entries = merged.entries.filter(({ kind }) => kind !== 'bound');
        return { entries, sealedRoot: entriesRoot(entries) };
      },
    },
    found: /noDoubleSpend/,
  },
];

describe('planted bugs', () => {
  test.each(mutants)('$name: found', ({ parts, found }) => {
    const whole: SealParts = { ...honestSeal, ...parts };
    let reason = '';
    for (let seed = 1; seed <= 24 && !found.test(reason); seed++) {
      try {
        reason = runSeal(seed, whole).violations.join('; ');
      } catch (cause) {
        reason = String(cause);
      }
    }
    expect(reason).toMatch(found);
  });
});
