/**
 * How an elder's opinions become acts (N7): it endorses what it wants itself, gathers the others'
 * endorsements, and proposes what has enough of them. What loses its generation is offered again.
 */
import { toHex } from '#core/codec/bytes.ts';
import type { Context } from '#core/machine.ts';
import { isOffered } from '#protocol/agreement/index.ts';
import {
  actId,
  decodeActBody,
  encodeAct,
  actBodyBytes,
  endorse,
  isProposable,
  verifyEndorsement,
  withEndorsements,
  wishes,
  whyNot,
  type Act,
  type ActBody,
} from '#protocol/membership/index.ts';
import { stepAgreement } from './desk.ts';
import { handoverWish, sealedSetWish } from './endings.ts';
import { after, flow, forEach, type Flow } from './flow.ts';
import { broadcast, decides, deskElders } from './peers.ts';
import { opinionsFor } from './opinions.ts';
import type { Desk, SectionNodeConfig, SectionNodeState } from './state.ts';
import { agreesAbout } from './suspicion.ts';

/**
 * Acts that one elder may discuss in one generation: all joiners it can know of, whom it speaks against,
 * and the places it wants. Its newest count, so it fills its own share and nobody else's.
 */
export const maxDiscussed = 160;

/**
 * N7: says aloud what this elder wants now, as far as it has not yet; and at the start of a round
 * again what has not been offered: a word that was lost may be the fifth.
 */
export function wish(
  config: SectionNodeConfig,
  state: SectionNodeState,
  mode: 'new' | 'again' = 'new',
): Flow {
  const { desk, own } = state;
  if (!decides(desk) || own === null || desk.stage.kind !== 'agreeing') return flow(state);
  const accused = [...desk.endorsements.values()]
    .map(({ body }) => body)
    .filter((body) => body.kind === 'leave' || body.kind === 'demote')
    .filter((body) => agreesAbout(config, state, body) && whyNot(own.state, body).ok);
  const endorsed = [...wishes(own.state, opinionsFor(state)), ...accused];
  const wished = forEach(state, endorsed, (now, body) => endorseAct(config, now, body, mode));
  return after(wished, (now) => offerLater(config, now));
}

function endorseAct(
  config: SectionNodeConfig,
  state: SectionNodeState,
  body: ActBody,
  mode: 'new' | 'again',
): Flow {
  const { desk, own } = state;
  if (desk === null || own === null) return flow(state);
  const { index } = desk.share;
  const id = toHex(actId(body));
  const said = desk.endorsements.get(id)?.signatures.get(index);
  if (said !== undefined && (mode === 'new' || desk.offered.has(id))) return flow(state);
  const signature =
    said ?? endorse(config.suites.identity, own.state, index, config.identitySeed, body).signature;
  const { generation } = desk;
  const payload = { kind: 'endorse', generation, body: actBodyBytes(body), signature } as const;
  return flow(
    { ...state, desk: withEndorsement(desk, body, index, signature) },
    ...broadcast(state, deskElders(config, state), payload),
  );
}

/** Another elder's word; it is judged at once, so that a liar fills no table. */
export function endorsed(
  config: SectionNodeConfig,
  state: SectionNodeState,
  generation: bigint,
  elder: number,
  bytes: Uint8Array,
  signature: Uint8Array,
): Flow | 'malformed' | 'falseEndorsement' {
  const { desk, own } = state;
  if (desk?.generation !== generation || desk.agreement === null || own === null)
    return flow(state);
  const body = decodeActBody(bytes);
  if (!body.ok) return 'malformed';
  const known = desk.endorsements.get(toHex(actId(body.value)));
  if (known?.signatures.has(elder) === true) return flow(state);
  if (!verifyEndorsement(config.suites.identity, own.state, body.value, { elder, signature })) {
    return 'falseEndorsement';
  }
  const next = { ...state, desk: withEndorsement(desk, body.value, elder, signature) };
  return offerLater(config, next);
}

/** A short wait, so that what comes together is decided together. */
export function offerLater(config: SectionNodeConfig, state: SectionNodeState): Flow {
  return toOffer(state).length === 0
    ? flow(state)
    : flow(state, { kind: 'setTimer', timer: 'offer', afterMs: Math.ceil(config.paceMs / 4) });
}

/** Proposes what has endorsements enough, once per generation. */
export function offer(config: SectionNodeConfig, state: SectionNodeState, context: Context): Flow {
  return forEach(state, toOffer(state), (now, act) => {
    const proposal = encodeAct(act);
    const input = { kind: 'propose', proposal } as const;
    const stepped = stepAgreement(config, now, { kind: 'input', input }, context);
    const { desk } = stepped.state;
    // What was not taken is offered again with the next round.
    if (!decides(desk) || !isOffered(desk.agreement, proposal)) return stepped;
    const offered = new Set(desk.offered).add(toHex(actId(act.body)));
    return { ...stepped, state: { ...stepped.state, desk: { ...desk, offered } } };
  });
}

function toOffer(state: SectionNodeState): readonly Act[] {
  const { desk, own } = state;
  if (!decides(desk) || own === null || desk.stage.kind !== 'agreeing') return [];
  const endorsedActs = [...desk.endorsements.values()].map(({ body, signatures }): Act =>
    withEndorsements(
      { body, endorsements: [] },
      [...signatures].map(([elder, signature]) => ({ elder, signature })),
    ),
  );
  const proven = [...handoverWish(state), ...sealedSetWish(state)]
    .filter((body) => whyNot(own.state, body).ok)
    .map((body): Act => ({ body, endorsements: [] }));
  return [...endorsedActs, ...proven].filter(
    (act) => !desk.offered.has(toHex(actId(act.body))) && isProposable(own.state, act),
  );
}

function withEndorsement(desk: Desk, body: ActBody, elder: number, signature: Uint8Array): Desk {
  const id = toHex(actId(body));
  const known = desk.endorsements.get(id)?.signatures ?? new Map<number, Uint8Array>();
  const signatures = new Map(known).set(elder, signature);
  const endorsements = new Map(desk.endorsements).set(id, { body, signatures });
  return { ...desk, endorsements: withinShare(endorsements, elder) };
}

/** Beyond its share an elder's oldest endorsement goes: what it still wants it says again each round. */
function withinShare(all: Desk['endorsements'], elder: number): Desk['endorsements'] {
  const own = [...all].filter(([, { signatures }]) => signatures.has(elder));
  const [oldest] = own;
  if (oldest === undefined || own.length <= maxDiscussed) return all;
  const [id, { body, signatures }] = oldest;
  const kept = new Map(all);
  const others = new Map(signatures);
  others.delete(elder);
  if (others.size === 0) kept.delete(id);
  else kept.set(id, { body, signatures: others });
  return kept;
}
