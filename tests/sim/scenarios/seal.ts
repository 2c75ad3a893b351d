/**
 * Payments in flight while an epoch seals, hands over to partly or wholly new elders, or splits in
 * two. Real: spentbook, mint, payment, snapshots, merging, successor records. Stubbed: the
 * agreement on the sealed set (five could have voted for the one that is picked) and anti-entropy
 * to clients.
 */
import { compareBytes, toHex } from '#core/codec/bytes.ts';
import {
  singleSectionKeys,
  type SectionKeys,
  type SupersededKey,
} from '#money/spend-certificate.ts';
import { encodeTransaction } from '#money/transaction.ts';
import type { SignedSnapshot } from '#protocol/membership/index.ts';
import { emptyLedger, type SectionState, supersededKeyOf } from '#protocol/section/index.ts';
import type { PaymentSections } from '#safe/payment/index.ts';
import { seedOf } from '../../unit/money/fixtures.ts';
import { createPrng } from '../prng.ts';
import { watchHandoverMoney } from '../handover-money/handover-money-check.ts';
import {
  forgery,
  handoverMoneyAdversary,
  otherKeys,
  otherRoot,
} from '../handover-money/handover-money-adversaries.ts';
import {
  createHandoverMoney,
  createHandoverMoneyCompute,
} from '../handover-money/handover-money-net.ts';
import {
  type HandoverMoneyCurves,
  type DealtKey,
  type Succession,
  handoverMoneySetup,
  elderName,
  toyHandoverMoneyCurves,
} from '../handover-money/handover-money-setup.ts';
import {
  honestHandoverMoney,
  type HandoverMoneyProtocol,
  type HandoverMoneyConfig,
  type HandoverMoneyParts,
  type HandoverMoneyState,
  type OwnKeyShare,
} from '../handover-money/handover-money-protocol.ts';
import { run, type Observation, type WorldApi } from '../world.ts';
import type { SimScenario } from './scenario.ts';

const closeAtMs = 2_000;
const healAtMs = 9_000;
const endAtMs = 30_000;

export interface HandoverMoneyEnd {
  readonly events: number;
  readonly violations: readonly string[];
  readonly undelivered: number;
  readonly lastStates: ReadonlyMap<string, string>;
  readonly kind: Succession;
}

type Compute = ReturnType<typeof createHandoverMoneyCompute>;
const computes = new Map<HandoverMoneyCurves, Map<HandoverMoneyParts, Compute>>();

function computeOf(parts: HandoverMoneyParts, curves: HandoverMoneyCurves): Compute {
  const known = computes.get(curves) ?? new Map<HandoverMoneyParts, Compute>();
  computes.set(curves, known);
  const compute = known.get(parts) ?? createHandoverMoneyCompute(parts, curves.threshold);
  known.set(parts, compute);
  return compute;
}

/** One seed: it determines the kind of succession, the liars and the faults. */
export function runHandoverMoney(
  seed: number,
  parts: HandoverMoneyParts = honestHandoverMoney,
  calm = false,
  curves: HandoverMoneyCurves = toyHandoverMoneyCurves,
): HandoverMoneyEnd {
  const { elderIdentities, zero, old, successors: choices, ...rest } = handoverMoneySetup(curves);
  const { rivals, archives, actors, amounts, forged } = rest;
  const prng = createPrng(seed ^ 0x5ea1);
  const kinds = ['partly', 'wholly', 'split'] as const;
  const kind = kinds[seed % 3] ?? 'partly';
  const successors = choices[kind];
  const liarCount = calm ? 0 : ([2, 0, 1][(seed >> 1) % 3] ?? 0);
  const liars = new Set<string>();
  while (liars.size < liarCount) liars.add(elderName(old, 1 + prng.below(7)));
  const hiding = prng.chance(0.7);

  const [archive] = archives;
  if (archive === undefined) throw new Error('epoch 0');
  const { sealedRoot } = archive;
  const before: SupersededKey = { ...zero.charter, sealedRoot };
  const viewOld: SectionKeys = { ...singleSectionKeys(old.section), superseded: [before] };
  const clientView: PaymentSections = { ...viewOld, current: [old.charter] };
  const members = [...old.charter.elders, ...successors.flatMap(({ charter }) => charter.elders)];
  const names = [...new Map(members.map(({ name }) => [toHex(name), name])).values()];
  const closing: SectionState = {
    authority: {
      ...old.charter,
      generation: 40n,
      members: names
        .sort(compareBytes)
        .map((name) => ({ name, joined: 0n, placement: name, sharingKey: name })),
      ledgerRoot: new Uint8Array(32),
      genesisOutput: old.section.genesisOutput,
    },
    ledger: {
      ...emptyLedger,
      phase: {
        kind: 'closing',
        sessionId: seedOf('session'),
        charters: successors.map(({ charter }) => charter),
        lists: successors.map(() => Array.from({ length: 7 }, () => null)),
      },
    },
  };

  const { identity } = curves;
  const configs = new Map<string, HandoverMoneyConfig>();
  const involved = elderIdentities.filter(({ id }) => names.some((name) => toHex(name) === id));
  // The new elders' view of the old key lacks its root until the successor record is known.
  const successorKnown: { view: SectionKeys } = { view: viewOld };
  const newest: { view: PaymentSections } = { view: clientView };
  for (const { id, name, seed: identitySeed } of involved) {
    const oldShare = old.shares.get(id);
    const successor = successors.find(({ shares }) => shares.has(id));
    const successorShare = successor?.shares.get(id);
    const term = (
      key: DealtKey,
      secretShare: Uint8Array,
      known: () => SectionKeys,
    ): OwnKeyShare => ({
      section: key.section,
      get known() {
        return known();
      },
      secretShare,
    });
    configs.set(id, {
      kind: 'elder',
      name,
      identitySeed,
      identity,
      handover: {
        name,
        closing,
        identity,
        identitySeed,
        secretShare: oldShare ?? null,
        repeatEveryMs: 300,
      },
      old: oldShare === undefined ? null : term(old, oldShare, () => viewOld),
      successor:
        successor === undefined || successorShare === undefined
          ? null
          : term(successor, successorShare, () => successorKnown.view),
      archives,
      hides: liars.has(id) && hiding,
    });
  }
  for (const { id, transaction, sources } of actors) {
    const bundle = {
      transaction: encodeTransaction(transaction),
      sources,
      prepared: null,
      certificates: null,
    };
    const payment = {
      // A client that starts or restarts has the newest sections known by then.
      get sections() {
        return newest.view;
      },
      identity,
      bundle,
      repeatEveryMs: 400,
    };
    configs.set(id, { kind: 'client', payment });
  }
  configs.set('mallory', forgery(curves, old, successors, forged));

  const seen = watchHandoverMoney({ old, successors, actors, amounts, forged, liars });
  const { check, violate, violations, lastStates } = seen;
  const tempted = new Set<string>();
  const cited = new Map<string, SignedSnapshot>();
  let decided: SectionState | undefined;

  const react = (
    { node, outputs }: Observation<HandoverMoneyState, HandoverMoneyProtocol>,
    api: WorldApi<HandoverMoneyConfig, HandoverMoneyState, HandoverMoneyProtocol>,
  ): void => {
    // These payers stop when they learn that it is final: the list does not learn of it.
    const final = outputs.some(
      (output) => output.kind === 'payment' && output.output.kind === 'final',
    );
    if (final && /^early-[12]$/.test(node.id)) api.stop(node.id);
    if (decided === undefined && seen.merges.size > 0) {
      decided = agree(closing, seen.merges, api, liars);
      if (decided !== undefined) {
        for (const { name } of old.charter.elders) {
          for (let at = 0; at < healAtMs + 4_000; at += 2_000) {
            const state: SectionState = decided;
            api.input(toHex(name), { kind: 'sealed', state }, at + prng.below(900));
          }
          // TRACE-C5: a premature proposal with the keys of another session.
          const state = otherKeys(decided, rivals);
          api.input(toHex(name), { kind: 'sealed', state }, prng.below(3_000));
        }
      }
    }
    if (decided === undefined) {
      for (const output of outputs) {
        if (output.kind !== 'handover' || output.output.kind !== 'propose') continue;
        // The role passes all referenced snapshots every time.
        for (const each of output.output.snapshots) {
          cited.set(`${each.elder}.${toHex(each.root)}`, each);
        }
        const snapshots = [...cited.values()];
        for (const { name } of old.charter.elders) {
          for (const at of [0, 3_000, healAtMs]) {
            api.input(
              toHex(name),
              { kind: 'snapshotsReferenced', snapshots },
              at + prng.below(300),
            );
          }
        }
      }
    }
    // TRACE-C5: five other snapshots would have merged to another root.
    const chose = node.up && node.state.kind === 'elder' && node.state.handover?.chosenRecord;
    if (decided !== undefined && chose && !tempted.has(node.id)) {
      tempted.add(node.id);
      const state = otherRoot(decided);
      for (const at of [0, 2_000]) api.input(node.id, { kind: 'sealed', state }, at);
    }
    const { published } = seen;
    if (published === undefined) return;
    const { record } = published;
    const past = supersededKeyOf(record);
    if (past === undefined) throw new Error('a record has children');
    const current = successors.map(({ charter }) => charter);
    const view: PaymentSections = { ...clientView, current, superseded: [before, past] };
    successorKnown.view = view;
    newest.view = view;
    const asks = outputs.some(
      (output) => output.kind === 'payment' && output.output.kind === 'outdated',
    );
    if (asks) api.input(node.id, { kind: 'sections', sections: view }, 20 + prng.below(200));
  };

  const report = run(
    {
      machine: createHandoverMoney(parts, curves.threshold),
      configs,
      inputs: [
        ...involved.flatMap(({ id }) =>
          [0, 2_500, 5_000, healAtMs + 500].map((later) => ({
            atMs: closeAtMs + later + prng.below(600),
            to: id,
            input: { kind: 'close' } as const,
          })),
        ),
        ...actors.flatMap(({ id, startAtMs }) =>
          [0, 4_000, healAtMs + 2_000].map((later) => ({
            atMs: startAtMs + later + prng.below(400),
            to: id,
            input: { kind: 'go' } as const,
          })),
        ),
        ...[3_000, 12_000, 20_000].map((atMs) => ({
          atMs,
          to: 'mallory',
          input: { kind: 'go' } as const,
        })),
      ],
      compute: computeOf(parts, curves),
      faults: {
        latencyMs: [5, 120],
        dropProbability: calm ? 0 : 0.12,
        duplicateProbability: 0.05,
        crashProbability: calm ? 0 : 0.0015,
        restartAfterMs: [50, 900],
        cutProbability: calm ? 0 : 0.002,
        computeMs: [0, 40],
      },
      healAtMs,
      endAtMs,
      corrupt: new Map(
        [...liars].flatMap((id) =>
          elderIdentities
            .filter((each) => each.id === id)
            .map(
              (each) => [id, handoverMoneyAdversary(identity, each, old, closing, prng)] as const,
            ),
        ),
      ),
      react,
    },
    seed,
    check,
  );

  for (const { id, expect } of actors) {
    if (expect === 'registered' && lastStates.get(id) !== 'registered') {
      violate(`progress: ${id} ended ${lastStates.get(id) ?? 'without an output'}`);
    }
  }
  for (const i of [0, 1, 2]) {
    const won = [`early-${i}`, `late-${i}`].filter((id) =>
      /final|registered/.test(lastStates.get(id) ?? ''),
    );
    if (won.length > 1) violate('noDoubleSpend: both rivals are final');
    const over = (id: string): boolean =>
      /final|registered|replaced|waiting/.test(lastStates.get(id) ?? '');
    if (!over(`early-${i}`) || !over(`late-${i}`))
      violate('progress: a rival ended without an output');
  }
  if (seen.published === undefined) violate('progress: no successor');
  let undelivered = 0;
  for (const { id, state, honest } of report.nodes) {
    if (state.kind !== 'elder' || !honest) continue;
    if (state.handover?.released !== true) undelivered += 1;
    const successor = successors.some(({ shares }) => shares.has(id));
    if (successor && !state.active) violate('N27: an honest new elder never started');
  }
  if (undelivered > 0) violate(`progress: ${undelivered} elders never finished`);
  return { events: report.events, violations, undelivered, lastStates, kind };
}

/** The stub of the agreement: the lowest set for which five could have voted (N23). */
function agree(
  closing: SectionState,
  merges: ReadonlyMap<
    string,
    { readonly snapshots: readonly SignedSnapshot[]; readonly root: Uint8Array }
  >,
  api: WorldApi<HandoverMoneyConfig, HandoverMoneyState, HandoverMoneyProtocol>,
  liars: ReadonlySet<string>,
): SectionState | undefined {
  const { phase } = closing.ledger;
  if (phase.kind !== 'closing') throw new Error('closing');
  const oldNames = new Set(closing.authority.elders.map(({ name }) => toHex(name)));
  const nodes = api.nodes().filter(({ id }) => oldNames.has(id));
  for (const [, { snapshots, root }] of [...merges].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const voters = nodes.filter(({ id, up, state }) => {
      if (liars.has(id)) return true;
      if (!up || state.kind !== 'elder' || state.handover === null) return false;
      return snapshots.every(({ root: each }) => state.lists.has(toHex(each)));
    });
    if (voters.length < 5) continue;
    return sealedAfter(closing, phase, snapshots, root);
  }
  return undefined;
}

const sealedAfter = (
  { authority, ledger }: SectionState,
  { sessionId, charters, lists }: Extract<SectionState['ledger']['phase'], { kind: 'closing' }>,
  snapshots: readonly { readonly elder: number; readonly root: Uint8Array }[],
  sealedRoot: Uint8Array,
): SectionState => ({
  authority: { ...authority, generation: authority.generation + 1n },
  ledger: {
    ...ledger,
    phase: {
      kind: 'sealed',
      sessionId,
      charters,
      lists,
      snapshots: snapshots.map(({ elder, root }) => ({ elder, root })),
      sealedRoot,
    },
  },
});

export const handoverMoneyScenario: SimScenario = {
  name: 'seal',
  run: (seed) => {
    try {
      const { events, violations, undelivered } = runHandoverMoney(seed);
      return { events, violations, undelivered };
    } catch (cause) {
      return { events: 0, violations: [String(cause)], undelivered: 0 };
    }
  },
};
