/**
 * What candidates show of keys that are made (N13). Nothing is kept as true, proposed or passed on
 * before it is verified, and each candidate has one place: neither a stranger nor a lying candidate
 * can keep the proof of another one out.
 */
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { ReadyProof } from '#protocol/membership/index.ts';
import { after, flow, type Flow } from './flow.ts';
import { offerLater } from './offering.ts';
import { sessionKey } from './session-key.ts';
import type { HeldReady, SectionNodeConfig, SectionNodeState } from './state.ts';

type Held = ReadonlyMap<NodeId, HeldReady>;

/** A candidate's proof takes its sender's place and waits for its check. */
export function readied(
  state: SectionNodeState,
  from: NodeId,
  session: Uint8Array,
  child: number,
  proof: ReadyProof,
): Flow {
  const id = sessionKey(session, child);
  const isCandidate = openChild(state, id)?.candidates.some((name) => nameToId(name) === from);
  if (isCandidate !== true) return flow(state);
  const held: Held = state.ready.get(id) ?? new Map();
  if (held.has(from) || isProven(held, proof)) return flow(state);
  return checkNext(setHeld(state, id, new Map(held).set(from, { proof, stage: 'waiting' })), id);
}

/** The answer of the job. */
export function readyChecked(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  from: NodeId,
  good: boolean,
): Flow {
  const held = state.ready.get(id);
  const mine = held?.get(from);
  // The session may be over by now.
  if (held === undefined || mine?.stage !== 'checking') return flow(state);
  const stage = good ? 'good' : 'bad';
  const next = setHeld(state, id, new Map(held).set(from, { ...mine, stage }));
  const said = good
    ? offerLater(config, next)
    : flow(next, { kind: 'blame', fault: { kind: 'falseReadiness', culprit: from } });
  return after(said, (now) => checkNext(now, id));
}

/** One check for each child at a time; the same key from another candidate needs none. */
function checkNext(state: SectionNodeState, id: string): Flow {
  const all: Held = state.ready.get(id) ?? new Map();
  const held = new Map(
    [...all].filter(([, { proof, stage }]) => stage !== 'waiting' || !isProven(all, proof)),
  );
  const next = setHeld(state, id, held);
  const waiting = [...held].find(([, { stage }]) => stage === 'waiting');
  const isBusy = [...held.values()].some(({ stage }) => stage === 'checking');
  const { own } = state;
  const open = openChild(state, id);
  if (waiting === undefined || isBusy || own === null || open === undefined) return flow(next);
  const [from, { proof }] = waiting;
  const { session, child } = open;
  return flow(setHeld(next, id, held.set(from, { proof, stage: 'checking' })), {
    kind: 'compute',
    id: `ready/${id}/${from}`,
    job: { kind: 'checkReady', state: own.state, session, child, proof },
  });
}

const isProven = (held: Held, { key }: ReadyProof): boolean =>
  [...held.values()].some(({ proof, stage }) => stage === 'good' && equalBytes(proof.key, key));

const setHeld = (state: SectionNodeState, id: string, held: Held): SectionNodeState => ({
  ...state,
  ready: new Map(state.ready).set(id, held),
});

/** The child of an open session that goes by this name here. */
const openChild = ({ own }: SectionNodeState, id: string) =>
  own?.state.ledger.sessions
    .flatMap(({ id: session, children }) =>
      children.map(({ candidates }, child) => ({ session, child, candidates })),
    )
    .find(({ session, child }) => sessionKey(session, child) === id);
