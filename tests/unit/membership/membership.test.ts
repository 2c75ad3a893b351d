/**
 * Goal: each rule of src/protocol/membership/README.md, one by one.
 * Method: a section and its decisions made by hand.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { child, EMPTY_PREFIX, matches } from '#address/prefix.ts';
import { ageOf, type XorName } from '#address/xor-name.ts';
import { concat, equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import { relocationDestination, rankJoiners } from '#protocol/node-age/index.ts';
import {
  actBodyBytes,
  applyActs,
  decodeAct,
  decodeActBody,
  decodeRelocationCertificate,
  encodeAct,
  encodeRelocationCertificate,
  endorse,
  isProposable,
  lostElders,
  maxActBytes,
  maxUsedCertificates,
  renameBytes,
  relocationsToCertify,
  validateAct,
  refusalReason,
  actsToEndorse,
  withEndorsements,
  type ActBody,
  type ActContext,
  type JoinAct,
  type LocalObservations,
  type RelocationCertificate,
} from '#protocol/membership/index.ts';
import {
  relocationBytes,
  type RelocationDetails,
  type SectionState,
} from '#protocol/section/index.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import {
  endorsed,
  handoverFor,
  makeSection,
  nameAt,
  networkId,
  sealedSetBy,
  sharingKeyOf,
  suites,
  toyKey,
  toyMerge,
} from './fixtures.ts';

/** For acts that need no lookup. */
const emptyView: ActContext = { sourceEpoch: null, mergedRoot: null };

const tenOf = (age: number): readonly number[] => Array.from({ length: 10 }, () => age);
/** Seven elders of age nine, six adults of age five. */
const settled = [...Array.from({ length: 7 }, () => 9), ...Array.from({ length: 6 }, () => 5)];
/** A churn id without trailing zero bits: it selects no member to relocate. */
const dull = new Uint8Array(32).fill(0xff);

const joinOf = (
  text: string,
  age = 5,
  certificate: RelocationCertificate | null = null,
): JoinAct => {
  const name = nameAt(utf8(text), age);
  return { kind: 'join', name, sharingKey: sharingKeyOf(name), certificate };
};

const namesOf = ({ authority }: SectionState): readonly XorName[] =>
  authority.members.map(({ name }) => name);
const adultsOf = (state: SectionState): readonly XorName[] =>
  namesOf(state).filter((name) => !state.authority.elders.some((e) => equalBytes(e.name, name)));
const elderAt = (state: SectionState, index: number): XorName =>
  state.authority.elders[index - 1]!.name;

const decide = (
  state: SectionState,
  bodies: readonly (readonly [ActBody, number])[],
  churnId = dull,
) =>
  applyActs(
    state,
    bodies.map(([body, count]) => endorsed(state, body, count)),
    churnId,
  );

const verdictOf = (state: SectionState, bytes: Uint8Array, view = emptyView): string => {
  const result = validateAct(state, bytes, suites, view);
  if (result.ok) return 'ok';
  return result.error.kind === 'refused' ? result.error.rule : result.error.kind;
};

/** A relocation certificate of another section, and its source epoch. */
function certificateFor(text: string, reason: RelocationDetails['reason'] = 'reward', epoch = 4n) {
  const old = nameAt(utf8(`old ${text}`), 7);
  const source = toyKey(utf8('source'));
  const relocation: RelocationDetails = {
    name: old,
    age: reason === 'reward' ? 8 : 5,
    destination: relocationDestination(old, dull),
    generation: 77n,
    reason,
  };
  const signature = toySuite.sign(
    source.secret,
    'RELOCATION',
    relocationBytes(networkId, relocation),
  );
  const name = nameAt(utf8(`new ${text}`), relocation.age);
  const nameSignature = suites.identity.sign(old, renameBytes(networkId, relocation, name));
  const certificate = {
    relocation,
    sourceKey: source.key,
    sourceEpoch: epoch,
    signature,
    nameSignature,
  };
  const body: JoinAct = { kind: 'join', name, sharingKey: sharingKeyOf(name), certificate };
  return { body, certificate, view: { ...emptyView, sourceEpoch: epoch } };
}

/** A state with an open session, because this elder left. */
function withSession(ages: readonly number[] = settled): SectionState {
  const { state } = makeSection(ages);
  return decide(state, [[{ kind: 'leave', name: elderAt(state, 1) }, 5]]).state;
}

describe('bytes', () => {
  const { state } = makeSection(settled);
  const session = withSession().ledger.sessions[0]!;
  const closing = { ...state, ledger: { ...state.ledger, phase: { kind: 'open' } as const } };
  const bodies: readonly ActBody[] = [
    joinOf('alice'),
    certificateFor('bob').body,
    { kind: 'leave', name: elderAt(state, 3) },
    { kind: 'demote', name: elderAt(state, 4) },
    { kind: 'vacancies', count: 3 },
    handoverFor(withSession(), session).body,
    sealedSetBy(closing, [1, 2, 3, 4, 5, 6, 7]),
  ];

  test.each(bodies.map((body) => [body.kind, body] as const))(
    '%s: round-trips, cut or extended bytes are rejected',
    (_, body) => {
      const bytes = endorsed(state, body, 3);
      const act = decodeAct(bytes);
      expect(act.ok && toHex(encodeAct(act.value))).toBe(toHex(bytes));
      expect(act.ok && act.value.body).toEqual(body);
      expect(decodeActBody(actBodyBytes(body))).toEqual({ ok: true, value: body });
      expect(bytes.length).toBeLessThan(maxActBytes);
      expect(decodeAct(concat(bytes, Uint8Array.of(0))).ok).toBe(false);
      for (let cut = 0; cut < bytes.length; cut += 7)
        expect(decodeAct(bytes.slice(0, cut)).ok).toBe(false);
    },
  );

  test('a relocation certificate round-trips; cut or extended bytes are rejected', () => {
    const { certificate } = certificateFor('bob');
    const bytes = encodeRelocationCertificate(certificate);
    expect(decodeRelocationCertificate(bytes)).toEqual({ ok: true, value: certificate });
    for (let cut = 0; cut < bytes.length; cut += 5) {
      expect(decodeRelocationCertificate(bytes.slice(0, cut)).ok).toBe(false);
    }
    expect(decodeRelocationCertificate(concat(bytes, bytes)).ok).toBe(false);
  });

  test('a split’s handover is the largest act and fits the limit', () => {
    const twice = { ...session, children: [session.children[0]!, session.children[0]!] };
    const bytes = endorsed(state, handoverFor(withSession(), twice).body, 0);
    expect(bytes.length).toBeLessThan(maxActBytes);
    expect(decodeAct(bytes).ok).toBe(true);
  });

  test('altered bytes are rejected or re-encode to the same bytes', () => {
    const whole = bodies.map((body) => endorsed(state, body, 5));
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, at, flip) => {
        const bytes = whole[which % whole.length]!.slice();
        bytes[at % bytes.length]! ^= flip;
        const act = decodeAct(bytes);
        if (act.ok) expect(toHex(encodeAct(act.value))).toBe(toHex(bytes));
        expect(verdictOf(state, bytes)).not.toBe('ok');
      }),
      { seed: 8, numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => !decodeAct(bytes).ok),
      { seed: 9 },
    );
  });
});

describe('endorsements (N7)', () => {
  const { state } = makeSection(settled, { vacancies: 2 });
  const gone: ActBody = { kind: 'leave', name: elderAt(state, 1) };

  test('TRACE-C3: fewer than five elders cannot vote out an honest one', () => {
    for (const count of [0, 1, 2, 3, 4])
      expect(verdictOf(state, endorsed(state, gone, count))).toBe('N7');
    expect(verdictOf(state, endorsed(state, gone, 5))).toBe('ok');
  });

  test('N7: three endorsements admit, five remove; each elder counts once', () => {
    const join = joinOf('alice');
    expect(verdictOf(state, endorsed(state, join, 2))).toBe('N7');
    expect(verdictOf(state, endorsed(state, join, 3))).toBe('ok');
    expect(
      verdictOf(state, endorsed(state, { kind: 'demote', name: adultsOf(state)[0]! }, 4)),
    ).toBe('N7');
    const one = endorse(suites.identity, state, 2, elderAt(state, 2), join);
    const again = withEndorsements({ body: join, endorsements: [one] }, [one, one]);
    expect(again.endorsements).toHaveLength(1);
    expect(verdictOf(state, encodeAct(again))).toBe('N7');
    const bytes = encodeAct({ body: join, endorsements: [one, one, one] });
    expect(verdictOf(state, bytes)).toBe('malformed');
  });

  test('MEMBERSHIP-B2: an endorsement is valid for one generation, one body and one elder', () => {
    const join = joinOf('alice');
    const later = decide(state, [[{ kind: 'vacancies', count: 5 }, 3]]).state;
    expect(verdictOf(later, endorsed(state, join, 3))).toBe('MEMBERSHIP-B2');
    const stolen = [1, 2, 3].map((elder) =>
      endorse(suites.identity, state, elder, elderAt(state, elder), gone),
    );
    expect(verdictOf(state, encodeAct({ body: join, endorsements: stolen }))).toBe('MEMBERSHIP-B2');
    const forged = [1, 2, 3].map((elder) =>
      endorse(suites.identity, state, elder, elderAt(state, 1), join),
    );
    expect(verdictOf(state, encodeAct({ body: join, endorsements: forged }))).toBe('MEMBERSHIP-B2');
  });

  test('MEMBERSHIP-B2: a removed elder can no longer endorse', () => {
    const after = decide(state, [[gone, 5]]).state;
    const join = joinOf('alice');
    const mixed = [1, 2, 3].map((elder) =>
      endorse(suites.identity, after, elder, elderAt(after, elder), join),
    );
    expect(verdictOf(after, encodeAct({ body: join, endorsements: mixed }))).toBe('MEMBERSHIP-B2');
    expect(verdictOf(after, encodeAct({ body: join, endorsements: mixed.slice(1) }))).toBe('N7');
  });
});

describe('deciding together (N8)', () => {
  test('N8: acts with equal bodies are one act with all endorsements', () => {
    const { state } = makeSection(settled, { vacancies: 2 });
    const join = joinOf('alice');
    const acts = [
      endorsed(state, join, 3, 0),
      endorsed(state, join, 3, 2),
      endorsed(state, join, 3, 0),
    ];
    const { applied, dropped, state: next } = applyActs(state, acts, dull);
    expect(applied.map(({ endorsements }) => endorsements.map(({ elder }) => elder))).toEqual([
      [1, 2, 3, 4, 5],
    ]);
    expect(dropped).toEqual([]);
    expect(next.ledger.vacancies).toBe(1);
  });

  test('N8, N39: of three joiners for two vacancies, the two ranked first by this churn id join', () => {
    const { state } = makeSection(settled, { vacancies: 2 });
    const joins = ['alice', 'bob', 'carol'].map((each) => joinOf(each));
    const { dropped, state: next } = decide(
      state,
      joins.map((body) => [body, 3]),
    );
    const last = rankJoiners(
      joins.map(({ name }) => name),
      dull,
    )[2];
    expect(dropped.map(({ act }) => act.body)).toEqual(joins.filter(({ name }) => name === last));
    expect(next.ledger.vacancies).toBe(0);
  });

  test('N39: a leave creates no vacancy', () => {
    const { state } = makeSection(settled);
    const next = decide(state, [[{ kind: 'leave', name: adultsOf(state)[0]! }, 5]]).state;
    expect(next.ledger.vacancies).toBe(0);
    expect(refusalReason(next, joinOf('alice'))).toMatchObject({ error: { rule: 'N39' } });
  });

  test('MEMBERSHIP-B4: a former member cannot join again', () => {
    const { state } = makeSection(settled, { vacancies: 2 });
    const name = adultsOf(state)[0]!;
    const next = decide(state, [[{ kind: 'leave', name }, 5]]).state;
    const join: JoinAct = { kind: 'join', name, sharingKey: sharingKeyOf(name), certificate: null };
    expect(verdictOf(next, endorsed(next, join, 3))).toBe('MEMBERSHIP-B4');
  });
});

describe('replacements (N29)', () => {
  test('N29: seven members always stay', () => {
    const { state } = makeSection(tenOf(5));
    const leaves = adultsOf(state).map((name): readonly [ActBody, number] => [
      { kind: 'leave', name },
      5,
    ]);
    const { state: next, dropped } = decide(state, leaves);
    expect(dropped).toEqual([]);
    expect(namesOf(next)).toHaveLength(7);
    expect(verdictOf(next, endorsed(next, { kind: 'leave', name: elderAt(next, 1) }, 5))).toBe(
      'N29',
    );
  });

  test('N29: a third elder is not removed until the first two are replaced', () => {
    const { state } = makeSection(settled);
    const leaves = [1, 2, 3].map((at): readonly [ActBody, number] => [
      { kind: 'leave', name: elderAt(state, at) },
      5,
    ]);
    const { state: next, dropped } = decide(state, leaves);
    expect(dropped).toMatchObject([{ fault: { kind: 'refused', rule: 'N29' } }]);
    expect(lostElders(next)).toHaveLength(2);
  });
});

describe('relocation certificates (N38)', () => {
  const { state } = makeSection(settled);

  test('N38: a relocating node joins once, without a vacancy', () => {
    const { body, certificate, view } = certificateFor('bob');
    const bytes = endorsed(state, body, 3);
    expect(verdictOf(state, bytes, view)).toBe('ok');
    const next = applyActs(state, [bytes], dull).state;
    expect(namesOf(next).some((name) => equalBytes(name, body.name))).toBe(true);
    const name = nameAt(utf8('another name'), 8);
    const nameSignature = suites.identity.sign(
      certificate.relocation.name,
      renameBytes(networkId, certificate.relocation, name),
    );
    const again: JoinAct = { ...body, name, certificate: { ...certificate, nameSignature } };
    expect(verdictOf(next, endorsed(next, again, 3), view)).toBe('N38');
  });

  test('N9: an unknown source key → later, not refused', () => {
    const { body, view } = certificateFor('bob');
    expect(verdictOf(state, endorsed(state, body, 3))).toBe('later');
    expect(verdictOf(state, endorsed(state, body, 3), { ...view, sourceEpoch: 5n })).toBe('N38');
  });

  test('N38: altered relocation certificates are refused', () => {
    const { body, certificate, view } = certificateFor('bob');
    const other = certificateFor('carol').certificate;
    const tries: readonly RelocationCertificate[] = [
      { ...certificate, signature: other.signature },
      { ...certificate, sourceKey: toyKey(utf8('mallory')).key },
      { ...certificate, nameSignature: other.nameSignature },
      { ...certificate, relocation: { ...certificate.relocation, generation: 78n } },
      { ...certificate, relocation: { ...certificate.relocation, destination: dull } },
    ];
    for (const each of tries) {
      expect(verdictOf(state, endorsed(state, { ...body, certificate: each }, 3), view)).toBe(
        'N38',
      );
    }
    const older = nameAt(utf8('new bob'), 9);
    expect(verdictOf(state, endorsed(state, { ...body, name: older }, 3), view)).toBe(
      'MEMBERSHIP-B5',
    );
    const demoted = {
      ...certificate,
      relocation: { ...certificate.relocation, reason: 'demotion' as const },
    };
    expect(verdictOf(state, endorsed(state, { ...body, certificate: demoted }, 3), view)).toBe(
      'MEMBERSHIP-B5',
    );
  });

  test('N38: a certificate for another section is refused', () => {
    const { body, view } = certificateFor('bob');
    const half = child(EMPTY_PREFIX, 0);
    const side = matches(half, body.certificate!.relocation.destination)
      ? child(EMPTY_PREFIX, 1)
      : half;
    const there = { ...state, authority: { ...state.authority, prefix: side } };
    const name = nameAt(utf8('there'), 8, side);
    expect(verdictOf(there, endorsed(there, { ...body, name }, 3), view)).toBe('N38');
  });

  test('N38, MEMBERSHIP-B11: a full list evicts the oldest and admits no certificate twice', () => {
    const usedCertificates = Array.from({ length: maxUsedCertificates }, (_, at) => ({
      certificateId: labelledHash('safe/toy/used', utf8(`${at}`)),
      sourceEpoch: BigInt(10 + at),
    }));
    const full = { ...state, ledger: { ...state.ledger, usedCertificates } };
    const early = certificateFor('early', 'reward', 10n);
    expect(verdictOf(full, endorsed(full, early.body, 3), early.view)).toBe('N38');
    const first = certificateFor('first', 'reward', 11n);
    const bytes = endorsed(full, first.body, 3);
    expect(verdictOf(full, bytes, first.view)).toBe('ok');
    const next = applyActs(full, [bytes], dull).state;
    expect(next.ledger.usedCertificates).toHaveLength(maxUsedCertificates);
    expect(
      Math.min(...next.ledger.usedCertificates.map(({ sourceEpoch }) => Number(sourceEpoch))),
    ).toBe(11);
  });
});

describe('key generations (N24, N25)', () => {
  test('N25: a lost elder opens a session with the next node in order', () => {
    const state = withSession();
    const { sessions } = state.ledger;
    expect(sessions).toHaveLength(1);
    const candidates = sessions[0]!.children[0]!.candidates;
    expect(candidates).toHaveLength(7);
    expect(candidates.filter((name) => ageOf(name) === 9)).toHaveLength(6);
    expect(candidates.every((name) => namesOf(state).some((each) => equalBytes(each, name)))).toBe(
      true,
    );
  });

  test('N25: an older adult opens a session after eight generations', () => {
    let { state } = makeSection([...Array.from({ length: 7 }, () => 5), 6, 5, 5]);
    for (let generation = 1; generation <= 8; generation++) {
      expect(state.ledger.sessions).toEqual([]);
      state = decide(state, [[{ kind: 'vacancies', count: generation }, 3]]).state;
    }
    expect(state.ledger.sessions).toHaveLength(1);
    expect(
      state.ledger.sessions[0]!.children[0]!.candidates.some((name) => ageOf(name) === 6),
    ).toBe(true);
  });

  test('N25: an adult of equal age opens no session', () => {
    let { state } = makeSection(tenOf(5));
    for (let generation = 1; generation <= 12; generation++) {
      state = decide(state, [[{ kind: 'vacancies', count: generation }, 3]]).state;
    }
    expect(state.ledger.sessions).toEqual([]);
  });

  test('N24: when a candidate leaves, its session closes and a handover in the same set is dropped', () => {
    const state = withSession();
    const [session] = state.ledger.sessions;
    const leaving = adultsOf(state).find((name) =>
      session!.children[0]!.candidates.includes(name),
    )!;
    const {
      state: next,
      dropped,
      events,
    } = decide(state, [
      [handoverFor(state, session!).body, 0],
      [{ kind: 'leave', name: leaving }, 5],
    ]);
    expect(dropped).toMatchObject([{ fault: { rule: 'N24' } }]);
    expect(next.ledger.phase.kind).toBe('open');
    const kinds = events.map(({ kind }) => kind);
    expect(kinds).toEqual(['left', 'sessionClosed', 'sessionOpened']);
  });

  test('N24: a candidate can be voted out, not demoted', () => {
    const state = withSession();
    const [name] = state.ledger.sessions[0]!.children[0]!.candidates;
    expect(verdictOf(state, endorsed(state, { kind: 'demote', name: name! }, 5))).toBe('N24');
    expect(verdictOf(state, endorsed(state, { kind: 'leave', name: name! }, 5))).toBe('ok');
  });

  test('N24, MEMBERSHIP-B10: a member selected during a key generation relocates after it', () => {
    const ages = [...Array.from({ length: 7 }, () => 9), ...Array.from({ length: 12 }, () => 5)];
    const lucky = Uint8Array.from({ length: 32 }, (_, at) => (at < 31 ? 0xff : 0xe0));
    const before = withSession(ages);
    const drawn = decide(
      { ...before, ledger: { ...before.ledger, vacancies: 1 } },
      [[joinOf('alice'), 3]],
      lucky,
    );
    const waiting = drawn.events.filter(({ kind }) => kind === 'selectedToRelocate');
    expect(waiting).toHaveLength(3);
    expect(relocationsToCertify(drawn.state)).toEqual([]);
    const idle = {
      ...drawn.state,
      ledger: { ...drawn.state.ledger, sessions: [], phase: { kind: 'open' } as const },
    };
    const present = { ...idle, authority: makeElders(idle) };
    const over = decide(present, [[{ kind: 'vacancies', count: 9 }, 3]]);
    expect(relocationsToCertify(over.state)).toHaveLength(3);
    expect(relocationsToCertify(over.state).every(({ age }) => age === 6)).toBe(true);
    expect(namesOf(over.state)).toHaveLength(namesOf(present).length - 3);
    expect(over.state.ledger.formerNames).toHaveLength(4);
  });
});

/** The elders after a handover: all of them members. */
function makeElders({ authority }: SectionState): SectionState['authority'] {
  const names = authority.members.map(({ name }) => name);
  const old = names.filter((name) => ageOf(name) === 9);
  const missing = names.find((name) => ageOf(name) === 5)!;
  return {
    ...authority,
    elders: [...old, missing]
      .sort((a, b) => (toHex(a) < toHex(b) ? -1 : 1))
      .map((name, at) => ({
        ...authority.elders[at]!,
        name,
      })),
  };
}

describe('handover (N13, N20–N23, N26)', () => {
  test('N13: a key without its candidates’ vouchers is refused', () => {
    const state = withSession();
    const session = state.ledger.sessions[0]!;
    const good = handoverFor(state, session).body;
    expect(verdictOf(state, endorsed(state, good, 0))).toBe('ok');
    const others = namesOf(state).slice(0, 7);
    expect(
      verdictOf(state, endorsed(state, handoverFor(state, session, 'x', others).body, 0)),
    ).toBe('N13');
    const [proof] = good.ready;
    const [first, ...rest] = proof!.publicShares;
    const bent = { ...proof!, publicShares: [...rest, first!] };
    expect(verdictOf(state, endorsed(state, { ...good, ready: [bent] }, 0))).toBe('N13');
    expect(verdictOf(state, endorsed(state, good, 3))).toBe('MEMBERSHIP-B2');
  });

  test('N26: a split wins; of two keys of one session the churn id decides', () => {
    const big = [...Array.from({ length: 7 }, () => 9), ...Array.from({ length: 60 }, () => 5)];
    const state = withSession(big);
    expect(state.ledger.sessions.map(({ children }) => children.length)).toEqual([2, 1]);
    const [split, single] = state.ledger.sessions;
    const both: readonly (readonly [ActBody, number])[] = [
      [handoverFor(state, single!).body, 0],
      [handoverFor(state, split!).body, 0],
    ];
    for (const order of [both, [...both].reverse()]) {
      const { state: next, applied, dropped } = decide(state, order);
      expect(next.ledger.phase).toMatchObject({ kind: 'closing', sessionId: split!.id });
      expect(applied).toHaveLength(1);
      expect(dropped).toMatchObject([{ fault: { rule: 'N22' } }]);
    }
    const keys = ['one', 'two'].map((salt) => handoverFor(state, single!, salt).body);
    const winners = [1, 2, 3, 4, 5, 6, 7, 8].map((byte) => {
      const { phase } = decide(
        state,
        keys.map((body) => [body, 0]),
        new Uint8Array(32).fill(byte),
      ).state.ledger;
      return phase.kind === 'closing'
        ? keys.findIndex(({ ready }) => equalBytes(ready[0]!.key, phase.charters[0]!.key))
        : -1;
    });
    expect(new Set(winners)).toEqual(new Set([0, 1]));
  });

  test('N22, N23: closing decides only a merged sealed set; sealed decides nothing', () => {
    const open = withSession();
    const closing = decide(open, [[handoverFor(open, open.ledger.sessions[0]!).body, 0]]).state;
    expect(closing.ledger.phase.kind).toBe('closing');
    expect(verdictOf(closing, endorsed(closing, { kind: 'vacancies', count: 7 }, 3))).toBe('N22');
    const set = sealedSetBy(closing, [1, 3, 4, 5, 6]);
    const bytes = endorsed(closing, set, 0);
    expect(verdictOf(closing, bytes)).toBe('later');
    expect(verdictOf(closing, bytes, { ...emptyView, mergedRoot: dull })).toBe('N23');
    const view = { ...emptyView, mergedRoot: toyMerge(set.snapshots.map(({ root }) => root)) };
    expect(verdictOf(closing, bytes, view)).toBe('ok');
    expect(verdictOf(closing, endorsed(closing, sealedSetBy(closing, [1, 2, 3, 4]), 0), view)).toBe(
      'N23',
    );
    expect(verdictOf(closing, endorsed(closing, sealedSetBy(open, [1, 3, 4, 5, 6]), 0), view)).toBe(
      'N23',
    );
    const bigger = endorsed(closing, sealedSetBy(closing, [1, 2, 3, 4, 5, 6]), 0);
    const sealed = applyActs(closing, [bytes, bigger], dull).state;
    expect(sealed.ledger.phase).toMatchObject({ kind: 'sealed', snapshots: { length: 6 } });
    expect(verdictOf(sealed, endorsed(sealed, { kind: 'vacancies', count: 7 }, 3))).toBe('N22');
    expect(verdictOf(sealed, bytes, view)).toBe('N22');
  });

  test('MEMBERSHIP-B12: only the deciding key or the next certifies a relocation', () => {
    const open = withSession();
    const entry = (text: string, generation: bigint): RelocationDetails => ({
      ...certificateFor(text).certificate.relocation,
      generation,
    });
    const relocating = [entry('a', 3n), entry('b', 9n)];
    const aged = { ...open, ledger: { ...open.ledger, activated: 9n, relocating } };
    const closing = decide(aged, [[handoverFor(aged, aged.ledger.sessions[0]!).body, 0]]).state;
    expect(relocationsToCertify(closing)).toEqual([relocating[1]]);
  });
});

describe('local observations (N7, N39, N40)', () => {
  const { state } = makeSection(settled, { vacancies: 2 });
  const none: LocalObservations = { joiners: [], gone: [], faulty: [], vacancies: null };
  const joiners = ['alice', 'bob', 'carol', 'dave'].map((each) => ({
    ...joinOf(each),
    sourceHandovers: 0,
  }));

  test('an elder endorses applicable acts, and as many joiners as there are vacancies', () => {
    expect(actsToEndorse(state, none)).toEqual([]);
    const gone = adultsOf(state).slice(0, 1);
    const bodies = actsToEndorse(state, { ...none, joiners, gone, vacancies: 2 });
    expect(bodies.map(({ kind }) => kind)).toEqual(['leave', 'join', 'join']);
    const first = rankJoiners(
      joiners.map(({ name }) => name),
      state.ledger.churnId,
    ).slice(0, 2);
    expect(bodies.flatMap((body) => (body.kind === 'join' ? [body.name] : []))).toEqual(
      expect.arrayContaining([...first]),
    );
  });

  test('N38: after 65 handovers of its source a certificate is not endorsed', () => {
    const { body } = certificateFor('bob');
    const at = (sourceHandovers: number) =>
      actsToEndorse(state, { ...none, joiners: [{ ...body, sourceHandovers }] });
    expect(at(64)).toHaveLength(1);
    expect(at(65)).toHaveLength(0);
  });

  test('an act can be proposed once it has enough endorsements', () => {
    const body: ActBody = { kind: 'leave', name: adultsOf(state)[0]! };
    const five = [1, 2, 3, 4, 5].map((elder) =>
      endorse(suites.identity, state, elder, elderAt(state, elder), body),
    );
    expect(isProposable(state, withEndorsements({ body, endorsements: [] }, five.slice(1)))).toBe(
      false,
    );
    expect(isProposable(state, withEndorsements({ body, endorsements: [] }, five))).toBe(true);
  });
});
