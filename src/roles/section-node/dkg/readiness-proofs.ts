/**
 * Readiness proofs of candidates (N13). A proof is used only after its verification, and each candidate
 * has one slot, so neither an unknown peer nor a lying candidate can keep out the proof of another.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { andThen } from '#core/step.ts';
import type { ReadyProof } from '#protocol/membership/index.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { proposeSoon } from '../generation/proposing.ts';
import { dkgInstanceId } from './instance-id.ts';
import type { HeldReadinessProof, SectionNodeConfig, SectionNodeState } from '../state.ts';

type Held = ReadonlyMap<NodeId, HeldReadinessProof>;

/** Stores a candidate's proof in its sender's slot until it is verified. */
export function onReadinessProof(
  state: SectionNodeState,
  from: NodeId,
  session: Uint8Array,
  child: number,
  proof: ReadyProof,
): NodeStep {
  const id = dkgInstanceId(session, child);
  const isCandidate = openChild(state, id)?.candidates.some((name) => nameToId(name) === from);
  if (isCandidate !== true) return nodeStep(state);
  const held: Held = state.readinessProofs.get(id) ?? new Map();
  if (held.has(from) || isProven(held, proof)) return nodeStep(state);
  return checkNext(setHeld(state, id, new Map(held).set(from, { proof, stage: 'waiting' })), id);
}

/** Result of the verification job. */
export function onReadinessChecked(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  from: NodeId,
  good: boolean,
): NodeStep {
  const held = state.readinessProofs.get(id);
  const mine = held?.get(from);
  // The session may have ended meanwhile.
  if (held === undefined || mine?.stage !== 'checking') return nodeStep(state);
  const stage = good ? 'good' : 'bad';
  const next = setHeld(state, id, new Map(held).set(from, { ...mine, stage }));
  const checked = good
    ? proposeSoon(config, next)
    : nodeStep(next, { kind: 'blame', fault: { kind: 'invalidReadinessProof', culprit: from } });
  return andThen(checked, (now) => checkNext(now, id));
}

/** Verifies one proof per child at a time; drops proofs of a key already proven. */
function checkNext(state: SectionNodeState, id: string): NodeStep {
  const all: Held = state.readinessProofs.get(id) ?? new Map();
  const held = new Map(
    [...all].filter(([, { proof, stage }]) => stage !== 'waiting' || !isProven(all, proof)),
  );
  const next = setHeld(state, id, held);
  const waiting = [...held].find(([, { stage }]) => stage === 'waiting');
  const isBusy = [...held.values()].some(({ stage }) => stage === 'checking');
  const { own } = state;
  const open = openChild(state, id);
  if (waiting === undefined || isBusy || own === null || open === undefined) return nodeStep(next);
  const [from, { proof }] = waiting;
  const { session, child } = open;
  return nodeStep(setHeld(next, id, held.set(from, { proof, stage: 'checking' })), {
    kind: 'compute',
    id: { kind: 'checkReadiness', instance: id, from },
    job: { kind: 'checkReady', state: own.state, session, child, proof },
  });
}

const isProven = (held: Held, { key }: ReadyProof): boolean =>
  [...held.values()].some(({ proof, stage }) => stage === 'good' && equalBytes(proof.key, key));

const setHeld = (state: SectionNodeState, id: string, held: Held): SectionNodeState => ({
  ...state,
  readinessProofs: new Map(state.readinessProofs).set(id, held),
});

/** The child of an open session with this instance id. */
const openChild = ({ own }: SectionNodeState, id: string) =>
  own?.state.ledger.sessions
    .flatMap(({ id: session, children }) =>
      children.map(({ candidates }, child) => ({ session, child, candidates })),
    )
    .find(({ session, child }) => dkgInstanceId(session, child) === id);
