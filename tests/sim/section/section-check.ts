/**
 * Conditions on every step of an honest node and on every state that honest nodes adopt: the rules
 * that only the composition of the protocols can break.
 */
import { matches } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Event, Machine, NodeId, Step } from '#core/machine.ts';
import { decodeActBody } from '#protocol/membership/index.ts';
import { membersRoot, SHARES_REQUIRED, type SectionState } from '#protocol/section/index.ts';
import type {
  NodePayload,
  SectionNode,
  SectionNodeConfig,
  SectionNodeState,
} from '#roles/section-node/index.ts';

export type SectionMachine = Machine<SectionNodeConfig, SectionNodeState, SectionNode>;

/**
 * The machine with every step checked, including steps of liars: they run the honest machine.
 * @param liars may sign a receipt for lists they do not hold: five receipts are three honest ones.
 */
export function inspected(
  machine: SectionMachine,
  report: (what: string) => void,
  liars: ReadonlySet<NodeId> = new Set(),
  lostKeys: ReadonlyMap<NodeId, Uint8Array> = new Map(),
): SectionMachine {
  const updates = new Map<string, number>();
  const runs = new Map<NodeId, number>();
  const inherited = new Map<string, Set<NodeId>>();

  const inspect = (
    config: SectionNodeConfig,
    before: SectionNodeState | null,
    event: Event<SectionNode> | null,
    step: Step<SectionNodeState, SectionNode>,
  ): Step<SectionNodeState, SectionNode> => {
    const { state } = step;
    if (event === null) runs.set(config.self, (runs.get(config.self) ?? 0) + 1);
    const ending = state.activeHandover;
    if (ending?.state?.inherited === true) {
      const key = toHex(ending.closingState.authority.key);
      inherited.set(key, (inherited.get(key) ?? new Set()).add(config.self));
    }
    checkOrder(step);
    const updated = new Set<string>();
    for (const effect of step.effects) {
      if (effect.kind === 'output' && effect.output.kind === 'release') {
        checkRelease(state, inherited.get(toHex(effect.output.key)) ?? new Set());
      }
      if (effect.kind !== 'send') continue;
      const { payload, key } = effect.message;
      checkShare(state, payload);
      checkBeginning(state, payload);
      checkAbstains(config.self, key, payload);
      if (payload.kind === 'endorse') checkAccusation(before, event, payload.body, state);
      if (payload.kind !== 'update') continue;
      for (const to of effect.to) {
        const { generation } = effect.message;
        const round = [
          config.self,
          runs.get(config.self),
          to,
          toHex(key),
          generation,
          state.pingRound,
        ];
        const what = round.join(' ');
        // One event may send a state twice, once because of a message header: count it once.
        if (updated.has(what)) continue;
        updated.add(what);
        const count = (updates.get(what) ?? 0) + 1;
        updates.set(what, count);
        if (count > 1) report('N35: sent twice in one round');
      }
    }
    return step;
  };

  /** N10: an elder's prevote is on disk before it is first sent. */
  const checkOrder = ({ state, effects }: Step<SectionNodeState, SectionNode>): void => {
    const saved = effects.findIndex(
      (effect) => effect.kind === 'persist' && effect.fact.kind === 'agreement',
    );
    const sent = effects.findIndex((effect) => {
      if (effect.kind !== 'send' || effect.message.payload.kind !== 'agreement') return false;
      const { message } = effect.message.payload;
      const index = (state.pendingGeneration?.share.index ?? 0) - 1;
      return message.kind === 'prevote' && message.prevote.voter === index;
    });
    if (saved > sent && sent >= 0) report('N10: sent before it was on disk');
  };

  const checkShare = ({ pendingGeneration }: SectionNodeState, payload: NodePayload): void => {
    if (payload.kind !== 'share' || pendingGeneration?.generation !== payload.generation) return;
    if (
      pendingGeneration.agreement === null
        ? payload.of === 'seal'
        : pendingGeneration.agreement.kind === 'decided'
    ) {
      if (payload.of === 'churn' || pendingGeneration.stage.kind === 'sealing') return;
    }
    report(`${payload.of === 'churn' ? 'N36' : 'N6'}: a share before the decision`);
  };

  /** N19: a new key is used only after the old one has named it; the old one is then unused. */
  const checkBeginning = (
    { pendingGeneration, own, activeHandover }: SectionNodeState,
    payload: NodePayload,
  ): void => {
    const phase = own?.state.ledger.phase.kind;
    const isFirst =
      payload.kind === 'share' &&
      pendingGeneration !== null &&
      pendingGeneration.agreement === null;
    if (isFirst && phase === 'sealed' && (activeHandover?.activationLink ?? null) === null) {
      report('N19: a new elder acts before the old key named it');
    }
    const isNext =
      (payload.kind === 'agreement' || payload.kind === 'endorse') &&
      payload.generation > (own?.state.authority.generation ?? payload.generation);
    if (isNext && phase === 'sealed') report('N19: works on between seal and activation');
  };

  /** N10: an elder signs nothing more under the key whose state it lost. */
  const checkAbstains = (self: NodeId, key: Uint8Array, payload: NodePayload): void => {
    const lost = lostKeys.get(self);
    if (lost === undefined || !equalBytes(lost, key)) return;
    const { kind } = payload;
    const isAgreementMessage =
      kind === 'agreement' ||
      kind === 'endorse' ||
      kind === 'certificateShare' ||
      (kind === 'share' && payload.of === 'churn') ||
      (kind === 'handover' &&
        payload.message.kind === 'progress' &&
        payload.message.share !== null);
    if (isAgreementMessage) report(`N10: a rolled-back elder signs: ${kind}`);
  };

  /** N40: in a round that most members did not answer, no member is newly accused. */
  const checkAccusation = (
    before: SectionNodeState | null,
    event: Event<SectionNode> | null,
    body: Uint8Array,
    state: SectionNodeState,
  ): void => {
    if (before === null || event?.kind !== 'timerFired' || event.timer.kind !== 'pingRound') return;
    const act = decodeActBody(body);
    if (!act.ok || act.value.kind !== 'leave' || before.own === null) return;
    const { name } = act.value;
    const wasNamed = before.observations.gone.some((each) => equalBytes(each, name));
    const asked = before.own.state.authority.members.length - 1;
    const isSameGeneration =
      state.pendingGeneration?.generation === before.pendingGeneration?.generation;
    const wasSent = [...(before.pendingGeneration?.endorsements.values() ?? [])].some(
      ({ body: sent }) => sent.kind === 'leave' && equalBytes(sent.name, name),
    );
    if (!wasNamed && !wasSent && isSameGeneration && before.respondedPeers.size * 2 < asked) {
      report('N40: accuses in a round that most did not answer');
    }
  };

  /** N27: sealed lists are kept until five new elders of every child hold them, liars included. */
  const checkRelease = (
    { activeHandover }: SectionNodeState,
    holders: ReadonlySet<NodeId>,
  ): void => {
    const phase = activeHandover?.closingState.ledger.phase;
    if (phase === undefined || phase.kind === 'open') return;
    const isHeld = phase.charters.every(
      ({ elders }) =>
        elders.filter(({ name }) => holders.has(nameToId(name)) || liars.has(nameToId(name)))
          .length >= SHARES_REQUIRED,
    );
    if (!isHeld) report('N27: released before five new elders held it');
  };

  return {
    start: (config, facts, context) =>
      inspect(config, null, null, machine.start(config, facts, context)),
    step: (config, state, event, context) =>
      inspect(config, state, event, machine.step(config, state, event, context)),
  };
}

/** Conditions between states, whichever nodes adopt them and in any order. */
export function createStateCheck(report: (what: string) => void): (state: SectionState) => void {
  const states = new Map<string, SectionState>();
  const finals = new Map<string, SectionState>();
  const firsts = new Map<string, SectionState>();
  const idOf = (key: Uint8Array, generation: bigint): string => `${toHex(key)}/${generation}`;

  const begins = (first: SectionState, final: SectionState): void => {
    const { prefix } = first.authority;
    const members = final.authority.members.filter(({ name }) => matches(prefix, name));
    const isSame = equalBytes(membersRoot(members), membersRoot(first.authority.members));
    if (!isSame) report('N24: a key begins with other members than the last one ended with');
  };

  return (state) => {
    const { authority, ledger } = state;
    const { key, generation } = authority;
    const id = idOf(key, generation);
    if (states.has(id)) return;
    states.set(id, state);
    const before = states.get(idOf(key, generation - 1n));
    const next = states.get(idOf(key, generation + 1n));
    if (before !== undefined) follows(before, state, report);
    if (next !== undefined) follows(state, next, report);
    const { phase } = ledger;
    if (phase.kind === 'sealed') {
      for (const charter of phase.charters) {
        finals.set(toHex(charter.key), state);
        const first = firsts.get(toHex(charter.key));
        if (first !== undefined) begins(first, state);
      }
    }
    if (phase.kind === 'open' && generation === ledger.activated && authority.epoch > 0n) {
      firsts.set(toHex(key), state);
      const final = finals.get(toHex(key));
      if (final !== undefined) begins(state, final);
    }
    const present = authority.elders.filter(({ name }) =>
      authority.members.some((each) => equalBytes(each.name, name)),
    );
    if (present.length < SHARES_REQUIRED) report('N29: fewer than five elders are members');
  };
}

function follows(before: SectionState, next: SectionState, report: (what: string) => void): void {
  const { phase } = before.ledger;
  if (phase.kind === 'sealed') report('N22: something was decided after the end');
  if (phase.kind === 'closing') {
    const isSame = equalBytes(
      membersRoot(before.authority.members),
      membersRoot(next.authority.members),
    );
    if (
      next.ledger.phase.kind !== 'sealed' ||
      !isSame ||
      before.ledger.vacancies !== next.ledger.vacancies
    ) {
      report('N22: a closing section decided something else');
    }
  }
  if (next.ledger.phase.kind === 'closing' && phase.kind === 'open') {
    const { sessionId, charters } = next.ledger.phase;
    const session = before.ledger.sessions.find(({ id }) => equalBytes(id, sessionId));
    if (session === undefined) report('N13: a handover of a session that was not open');
    else if (session.children.length !== charters.length) report('N26: half a split was decided');
  }
  for (const { id, children } of next.ledger.sessions) {
    if (!before.ledger.sessions.some((each) => equalBytes(each.id, id))) continue;
    const isWhole = children.every(({ candidates }) =>
      candidates.every((name) =>
        next.authority.members.some((each) => equalBytes(each.name, name)),
      ),
    );
    if (!isWhole) report('N24: a session continues without a candidate');
  }
}
