/**
 * Thousands of generations of one section, and of a half after each split, with honest proposals
 * and invalid ones. Every step is compared with a second implementation of the rules, written from
 * the specification without the code under test.
 */
import { child, EMPTY_PREFIX, matches } from '#address/prefix.ts';
import { ageOf, compareDistance, nameToId, type XorName } from '#address/xor-name.ts';
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import {
  authoritySigningBytes,
  decodeLedger,
  encodeLedger,
  ledgerRootOf,
  firstStateOf,
  type DkgSession,
  type RelocationDetails,
  type SectionState,
  placementOf,
  relocationBytes,
  relocationId,
} from '#protocol/section/index.ts';
import {
  actNeeds,
  applyActs,
  decodeAct,
  maxUsedCertificates,
  maxFormerNames,
  maxRelocating,
  renameBytes,
  sectionRules,
  relocationsToCertify,
  validateAct,
  type ActBody,
  type ActContext,
  type Applied,
  type HandoverAct,
  type JoinAct,
  type SectionRules,
  type RelocationCertificate,
} from '#protocol/membership/index.ts';
import { createPrng, type Prng } from '../../sim/prng.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import {
  churnIdFor,
  endorsed,
  freshName,
  handoverFor,
  makeSectionOf,
  networkId,
  sealedSetBy,
  sharingKeyOf,
  suites,
  toyMerge,
  type ToyKey,
} from './fixtures.ts';

export interface Tally {
  joined: number;
  movedIn: number;
  left: number;
  demoted: number;
  relocated: number;
  handovers: number;
  splits: number;
  refused: number;
  dropped: number;
  oldest: number;
}

/** State of the history beside the section: keys, issued certificates, past events. */
interface World {
  state: SectionState;
  key: ToyKey;
  /** Keys of both children of a session, by session id. */
  readonly keysBySession: Map<string, readonly ToyKey[]>;
  readonly epochByKey: Map<string, bigint>;
  /** Relocation certificates issued here and not yet used, with the key that signed them. */
  readonly wallet: RelocationCertificate[];
  readonly used: RelocationCertificate[];
  readonly issued: Set<string>;
  readonly usedIds: Set<string>;
  readonly everLeft: Set<string>;
  readonly tally: Tally;
}

interface Decision {
  readonly churnId: Uint8Array;
  readonly handovers: readonly HandoverAct[];
}

interface Proposal {
  readonly bytes: Uint8Array;
  /** The rule that must refuse it. */
  readonly breaks: string | null;
}

export class Broken extends Error {}

const demand = (holds: boolean, rule: string): void => {
  if (!holds) throw new Broken(rule);
};

/** @throws Broken with the number of the rule. */
export function runHistory(
  seed: number,
  generations: number,
  rules: SectionRules = sectionRules,
): Tally {
  const prng = createPrng(seed);
  const prefix = seed % 2 === 0 ? child(EMPTY_PREFIX, 1) : EMPTY_PREFIX;
  const made = makeSectionOf(
    Array.from({ length: 7 + prng.below(30) }, () => freshName(prng, 5 + prng.below(5), prefix)),
    {},
    prefix,
  );
  const world: World = {
    state: made.state,
    key: made.key,
    keysBySession: new Map(),
    epochByKey: new Map([[toHex(made.state.authority.key), 0n]]),
    wallet: [],
    used: [],
    issued: new Set(),
    usedIds: new Set(),
    everLeft: new Set(),
    tally: {
      joined: 0,
      movedIn: 0,
      left: 0,
      demoted: 0,
      relocated: 0,
      handovers: 0,
      splits: 0,
      refused: 0,
      dropped: 0,
      oldest: 0,
    },
  };
  for (let turn = 0; turn < generations; turn++) playGeneration(world, prng, rules);
  return world.tally;
}

function playGeneration(world: World, prng: Prng, rules: SectionRules): void {
  const before = world.state;
  const proposals = proposalsFor(world, prng);
  const decided: Uint8Array[] = [];
  for (const { bytes, breaks } of proposals) {
    const result = validateAct(before, bytes, suites, viewOf(world, bytes), rules);
    if (breaks !== null) demand(!result.ok, `${breaks}: accepted what breaks it`);
    if (result.ok) decided.push(bytes);
    else world.tally.refused++;
  }
  // The agreement never decides an empty set, but here a generation may.
  const churnId = churnIdFor(before, String(prng.below(4)));
  // Lottery selection is rare; here it happens every fifth time, for ages up to nine.
  if (prng.chance(0.2)) churnId.set([(churnId[30] ?? 0) & (0xfe << prng.below(2)), 0], 30);
  const outcome = applyActs(before, decided, churnId, rules);
  const shuffled = [...decided, ...decided.slice(0, 2)].sort(() => prng.below(2) - 0.5);
  const again = applyActs(before, shuffled, churnId, rules);
  demand(
    fingerprint(again.state) === fingerprint(outcome.state),
    'N8: the order of the set matters',
  );
  checkStep(world, before, outcome, { churnId, handovers: handoversIn(decided) });
  world.state = outcome.state;
  world.tally.dropped += outcome.dropped.length;
  collectCertificates(world);
  if (outcome.state.ledger.phase.kind === 'sealed') takeOver(world, prng);
}

const handoversIn = (decided: readonly Uint8Array[]): readonly HandoverAct[] =>
  decided.flatMap((bytes) => {
    const act = decodeAct(bytes);
    return act.ok && act.value.body.kind === 'handover' ? [act.value.body] : [];
  });

function viewOf(world: World, bytes: Uint8Array): ActContext {
  const decoded = decodeAct(bytes);
  if (!decoded.ok) return { sourceEpoch: null, mergedRoot: null };
  const needs = actNeeds(decoded.value.body);
  return {
    sourceEpoch:
      needs.kind === 'sourceKey' ? (world.epochByKey.get(toHex(needs.key)) ?? null) : null,
    mergedRoot:
      needs.kind === 'snapshots' ? toyMerge(needs.snapshots.map(({ root }) => root)) : null,
  };
}

/**
 * The history continues with one of the children; together they have exactly the members of their
 * parent.
 */
function takeOver(world: World, prng: Prng): void {
  const { phase } = world.state.ledger;
  if (phase.kind !== 'sealed') return;
  const children = phase.charters.map(({ key }) => firstStateOf(world.state, key)!);
  const names = children.flatMap(({ authority }) => authority.members.map(({ name }) => name));
  demand(
    sameSet(names, namesOf(world.state)) && names.length === namesOf(world.state).length,
    'N26: children do not share out the members',
  );
  for (const each of children) {
    const members = namesOf(each);
    demand(
      each.authority.elders.every(({ name }) => has(members, name)),
      'N24: an elder of the new key is no member',
    );
    world.epochByKey.set(toHex(each.authority.key), each.authority.epoch);
  }
  const at = prng.below(children.length);
  world.key = world.keysBySession.get(toHex(phase.sessionId))![at]!;
  // The other half is dropped: a large tree of prefixes is not tested here.
  world.state = children[at]!;
  world.tally.handovers++;
  if (children.length === 2) world.tally.splits++;
}

// ---- proposals ----

function proposalsFor(world: World, prng: Prng): readonly Proposal[] {
  const { state } = world;
  const list: Proposal[] = [];
  const add = (body: ActBody, count: number, breaks: string | null = null): void => {
    list.push({ bytes: endorsed(state, body, count, prng.below(7 - Math.max(count, 5))), breaks });
  };
  if (state.ledger.phase.kind === 'closing') {
    const elders = [1, 2, 3, 4, 5, 6, 7].filter((elder) => elder <= 5 || prng.chance(0.5));
    add(sealedSetBy(state, elders), 0);
    if (prng.chance(0.3)) add(sealedSetBy(state, [2, 3, 4, 6, 7]), 0);
    add(sealedSetBy(state, [1, 2, 3, 4]), 0, 'N23');
    add(newcomer(world, prng), 3, 'N22');
    add({ kind: 'leave', name: prng.pick(namesOf(state)) }, 5, 'N22');
    return list;
  }
  const names = namesOf(state);
  const grows = prng.below(60) > names.length - 7;
  for (let at = prng.below(4); at > 0; at--) {
    if (grows) add(newcomer(world, prng), 3, state.ledger.vacancies === 0 ? 'N39' : null);
  }
  for (let at = prng.below(3); at > 0; at--) {
    if (!grows) add({ kind: 'leave', name: prng.pick(names) }, 5);
  }
  if (prng.chance(0.05)) add({ kind: 'leave', name: prng.pick(state.authority.elders).name }, 5);
  if (prng.chance(0.05)) add({ kind: 'demote', name: prng.pick(names) }, 5);
  if (prng.chance(0.3)) add({ kind: 'vacancies', count: prng.below(5) }, 3);
  for (const certificate of world.wallet.slice(-2)) {
    if (prng.chance(0.5)) add(relocatingJoin(certificate, prng, state), 3);
  }
  const isAnyReady = prng.chance(state.ledger.sessions.length === 2 ? 0.5 : 0.1);
  for (const session of isAnyReady ? state.ledger.sessions : []) {
    const { body, keys } = handoverFor(state, session);
    world.keysBySession.set(toHex(session.id), keys);
    add(body, 0);
  }
  addInvalidProposals(world, prng, add);
  return list;
}

/** Invalid proposals; each breaks the rule it names. */
function addInvalidProposals(
  world: World,
  prng: Prng,
  add: (body: ActBody, count: number, breaks: string | null) => void,
): void {
  const { state } = world;
  const { prefix } = state.authority;
  const names = namesOf(state);
  const joiner = newcomer(world, prng);
  add({ kind: 'leave', name: prng.pick(names) }, 4, 'N7');
  add(joiner, 2, 'N7');
  add({ kind: 'vacancies', count: 60 }, 2, 'N7');
  add({ ...joiner, name: freshName(prng, 6 + prng.below(9), prefix) }, 3, 'MEMBERSHIP-B5');
  add({ ...joiner, name: prng.pick(names) }, 5, 'MEMBERSHIP-B4');
  const past = state.ledger.formerNames.filter((name) => ageOf(name) === 5);
  if (past.length > 0) add({ ...joiner, name: prng.pick(past) }, 3, 'MEMBERSHIP-B4');
  if (prefix.bitCount > 0) {
    const other = child(
      { bitCount: prefix.bitCount - 1, bits: new Uint8Array(32) },
      matches({ bitCount: 1, bits: Uint8Array.of(0x80, ...new Uint8Array(31)) }, prefix.bits)
        ? 0
        : 1,
    );
    if (prefix.bitCount === 1)
      add({ ...joiner, name: freshName(prng, 5, other) }, 3, 'MEMBERSHIP-B3');
  }
  if (names.length === 7) add({ kind: 'leave', name: prng.pick(names) }, 5, 'N29');
  if (world.used.length > 0) add(relocatingJoin(prng.pick(world.used), prng, state), 3, 'N38');
  const [unused] = world.wallet;
  if (unused !== undefined) {
    const honest = relocatingJoin(unused, prng, state);
    add({ ...honest, certificate: { ...unused, nameSignature: new Uint8Array(64) } }, 3, 'N38');
    const older = { ...unused.relocation, age: unused.relocation.age + 1 };
    add(relocatingJoin({ ...unused, relocation: older }, prng, state), 3, 'N38');
    if (!matches(prefix, unused.relocation.destination)) add(honest, 3, 'N38');
  }
  for (const session of prng.chance(0.2) ? state.ledger.sessions : []) {
    const { body } = handoverFor(state, session, 'mallory');
    if (session.children.length === 2) add({ ...body, ready: body.ready.slice(0, 1) }, 0, 'N26');
    const others = namesOf(state).slice(0, 7);
    if (!session.children.some(({ candidates }) => sameSet(candidates, others))) {
      add(handoverFor(state, session, 'mallory', others).body, 0, 'N24');
    }
    const twice = body.ready.map((each) => ({ ...each, key: state.authority.key }));
    add({ ...body, ready: twice }, 0, 'N20');
    const unknown = { ...session, id: labelledHash('safe/toy/stranger', session.id) };
    add(handoverFor(state, unknown).body, 0, 'N25');
  }
}

function newcomer({ state }: World, prng: Prng): JoinAct {
  const name = freshName(prng, 5, state.authority.prefix);
  return { kind: 'join', name, sharingKey: sharingKeyOf(name), certificate: null };
}

function relocatingJoin(
  certificate: RelocationCertificate,
  prng: Prng,
  { authority }: SectionState,
): JoinAct {
  const name = freshName(prng, certificate.relocation.age, authority.prefix);
  const nameSignature = suites.identity.sign(
    certificate.relocation.name,
    renameBytes(networkId, certificate.relocation, name),
  );
  return {
    kind: 'join',
    name,
    sharingKey: sharingKeyOf(name),
    certificate: { ...certificate, nameSignature },
  };
}

/** Certifies every relocation that is due; some are certified twice, under two keys. */
function collectCertificates(world: World): void {
  const { authority } = world.state;
  for (const relocation of relocationsToCertify(world.state)) {
    const id = toHex(relocationId(networkId, relocation)) + toHex(authority.key);
    if (world.issued.has(id)) continue;
    world.issued.add(id);
    const signature = toySuite.sign(
      world.key.secret,
      'RELOCATION',
      relocationBytes(networkId, relocation),
    );
    world.wallet.push({
      relocation,
      sourceKey: authority.key,
      sourceEpoch: authority.epoch,
      signature,
      nameSignature: new Uint8Array(64),
    });
  }
  if (world.wallet.length > 40) world.wallet.splice(0, 10);
}

// ---- invariants ----

function checkStep(
  world: World,
  before: SectionState,
  outcome: Applied,
  { churnId, handovers }: Decision,
): void {
  const { state, applied, events } = outcome;
  const { authority, ledger } = state;
  demand(authority.generation === before.authority.generation + 1n, 'N8: one generation each');
  checkMembers(world, before, state, outcome, churnId);
  checkCertificates(world, applied);
  checkPhase(before, state, applied);
  if (before.ledger.phase.kind === 'open') checkChoice(before, state, handovers, churnId);
  checkSessions(before, state);
  checkMoves(before, state, applied, churnId);
  if (authority.generation % 16n === 0n) {
    demand(decodeLedger(encodeLedger(ledger)).ok, 'N11: a state that cannot be told');
  }
  demand(equalBytes(authority.ledgerRoot, ledgerRootOf(ledger)), 'N11: a seal of another ledger');
  demand(ledger.usedCertificates.length <= maxUsedCertificates, 'N38: too many tickets remembered');
  demand(ledger.formerNames.length <= maxFormerNames, 'MEMBERSHIP-B4: too many names remembered');
  demand(ledger.relocating.length <= maxRelocating, 'MEMBERSHIP-B10: too many moving');
  for (const event of events) {
    if (event.kind === 'joined') world.tally[event.relocated ? 'movedIn' : 'joined']++;
    if (event.kind === 'left') world.tally.left++;
    if (event.kind === 'demoted') world.tally.demoted++;
    if (event.kind === 'movedOut') world.tally.relocated++;
  }
  world.tally.oldest = Math.max(world.tally.oldest, ...namesOf(state).map(ageOf));
}

function checkMembers(
  world: World,
  before: SectionState,
  state: SectionState,
  { applied, dropped }: Applied,
  churnId: Uint8Array,
): void {
  const { authority, ledger } = state;
  const excess = dropped.filter(({ fault }) => fault.kind === 'refused' && fault.rule === 'N39');
  const names = namesOf(state);
  demand(
    names.every((name, at) => at === 0 || compareBytes(names[at - 1]!, name) < 0),
    'MEMBERSHIP-B4: members sorted and distinct',
  );
  demand(
    names.every((name) => matches(authority.prefix, name)),
    'MEMBERSHIP-B3: in the prefix',
  );
  demand(names.length >= 7, 'N29: seven members stay');
  const present = authority.elders.filter(({ name }) => has(names, name));
  demand(present.length >= 5, 'N29: five elders stay');
  const old = namesOf(before);
  for (const name of old) if (!has(names, name)) world.everLeft.add(nameToId(name));
  demand(
    names.every((name) => !world.everLeft.has(nameToId(name))),
    'MEMBERSHIP-B4: a name came back',
  );
  const fresh = authority.members.filter(({ name }) => !has(old, name));
  for (const { name, placement, joined } of fresh) {
    demand(equalBytes(placement, placementOf(name, churnId)), 'N37: placed by its ground name');
    demand(joined === authority.generation, 'MEMBERSHIP-B4: another generation of joining');
  }
  const onVacancies = applied.filter(
    ({ body }) => body.kind === 'join' && body.certificate === null,
  );
  demand(
    onVacancies.length <= before.ledger.vacancies,
    'N39: more joined than there were vacancies',
  );
  const ranks = (acts: Applied['applied']): readonly string[] =>
    acts.flatMap(({ body }) =>
      body.kind === 'join' && body.certificate === null
        ? [toHex(labelledHash('safe/v1/join-rank', body.name, churnId))]
        : [],
    );
  const worst = ranks(applied).at(-1) ?? '';
  demand(
    ranks(excess.map(({ act }) => act)).every((rank) => rank >= worst),
    'N39: a joiner of lower rank got the place',
  );
  const isSet = applied.some(({ body }) => body.kind === 'vacancies');
  const left = before.ledger.vacancies - onVacancies.length;
  if (!isSet) demand(ledger.vacancies === left, 'N39: places came from nowhere');
}

function checkCertificates(world: World, applied: Applied['applied']): void {
  for (const { body } of applied) {
    if (body.kind !== 'join' || body.certificate === null) continue;
    const id = toHex(relocationId(networkId, body.certificate.relocation));
    demand(!world.usedIds.has(id), 'N38: a ticket was used twice');
    world.usedIds.add(id);
    const { certificate } = body;
    for (const each of world.wallet.filter((other) =>
      sameRelocation(other.relocation, certificate.relocation),
    )) {
      world.used.push(each);
    }
    const rest = world.wallet.filter(
      (other) => !sameRelocation(other.relocation, certificate.relocation),
    );
    world.wallet.splice(0, world.wallet.length, ...rest);
    demand(
      ageOf(body.name) === certificate.relocation.age,
      'MEMBERSHIP-B5: another age than the ticket’s',
    );
  }
}

function checkPhase(before: SectionState, state: SectionState, applied: Applied['applied']): void {
  const was = before.ledger.phase.kind;
  const { phase } = state.ledger;
  if (was !== 'open') {
    demand(
      applied.every(({ body }) => body.kind === 'sealedSet'),
      'N22: decided while closing',
    );
    demand(sameSet(namesOf(before), namesOf(state)), 'N22: members changed while closing');
    demand(
      state.ledger.relocating.length === before.ledger.relocating.length,
      'N22: moved while closing',
    );
  }
  if (was === 'closing') demand(phase.kind === 'sealed', 'N23: the sealed set was decided');
  if (was !== 'open' || phase.kind === 'open') return;
  demand(phase.kind === 'closing', 'N19: closing comes first');
  if (phase.kind !== 'closing') return;
  const names = namesOf(state);
  demand(
    phase.charters.every(({ elders }) => elders.every(({ name }) => has(names, name))),
    'N24: a candidate was no member when it was chosen',
  );
  const session = before.ledger.sessions.find(({ id }) => equalBytes(id, phase.sessionId))!;
  demand(session.children.length === phase.charters.length, 'N26: half a split');
}

/** N26, second implementation: of all decided handovers the split, else the lowest hash. */
function checkChoice(
  before: SectionState,
  state: SectionState,
  handovers: readonly HandoverAct[],
  churnId: Uint8Array,
): void {
  const { phase } = state.ledger;
  const sessionOf = ({ sessionId }: HandoverAct): DkgSession | undefined =>
    before.ledger.sessions.find(({ id }) => equalBytes(id, sessionId));
  const eligible = handovers.filter((each) =>
    sessionOf(each)?.children.every(({ candidates }) =>
      candidates.every((name) => has(namesOf(state), name)),
    ),
  );
  const rank = ({ ready, sessionId }: HandoverAct): string =>
    (ready.length === 2 ? '0' : '1') +
    toHex(labelledHash('safe/v1/handover-choice', churnId, sessionId));
  const [best] = eligible.map(rank).sort();
  if (phase.kind === 'open') demand(best === undefined, 'N26: a handover was passed over');
  if (phase.kind !== 'closing') return;
  const own = eligible.find(({ sessionId }) => equalBytes(sessionId, phase.sessionId));
  demand(own !== undefined && rank(own) === best, 'N26: another candidate wins');
  demand(
    before.ledger.sessions.some(({ id }) => equalBytes(id, phase.sessionId)),
    'N25: no such session',
  );
}

function checkSessions(before: SectionState, state: SectionState): void {
  const { authority, ledger } = state;
  const names = namesOf(state);
  demand(ledger.sessions.length <= 2, 'N25: two sessions at most');
  demand(ledger.phase.kind === 'open' || ledger.sessions.length === 0, 'N25: open while closing');
  for (const session of ledger.sessions) {
    for (const { prefix, candidates } of session.children) {
      demand(candidates.length === 7, 'N25: a section never shrinks');
      demand(
        candidates.every((name) => has(names, name)),
        'N24: a candidate is no member',
      );
      demand(
        candidates.every((name) => matches(prefix, name)),
        'N25: of another prefix',
      );
    }
    if (before.ledger.sessions.some(({ id }) => equalBytes(id, session.id))) continue;
    demand(session.opened === authority.generation, 'N25: opened now');
    const isLost = authority.elders.some(({ name }) => !has(names, name));
    const youngest = Math.min(...authority.elders.map(({ name }) => ageOf(name)));
    const adults = names.filter((name) => authority.elders.every((e) => !equalBytes(e.name, name)));
    const isOlder =
      authority.generation >= ledger.activated + 8n &&
      adults.some((name) => ageOf(name) > youngest);
    const isSplit =
      session.children.length === 2 &&
      session.children.every(
        ({ prefix }) => names.filter((name) => matches(prefix, name)).length >= 14,
      );
    demand(session.children.length === 2 ? isSplit : isLost || isOlder, 'N25: for no reason');
  }
}

function checkMoves(
  before: SectionState,
  state: SectionState,
  applied: Applied['applied'],
  churnId: Uint8Array,
): void {
  const wasThere = namesOf(before);
  const waits = (at: SectionState): readonly RelocationDetails[] =>
    at.ledger.relocating.filter(({ name }) => has(namesOf(at), name));
  const drawn = waits(state).filter(
    ({ name }) => !waits(before).some((m) => equalBytes(m.name, name)),
  );
  const isDemoted = (name: XorName): boolean =>
    applied.some(({ body }) => body.kind === 'demote' && equalBytes(body.name, name));
  const gone = relocationsToCertify(state).filter(
    ({ name }) => has(wasThere, name) && !isDemoted(name),
  );
  const lots = [
    ...gone.filter(({ name }) => !waits(before).some((m) => equalBytes(m.name, name))),
    ...drawn,
  ];
  demand(gone.length <= 3, 'N36: more than three moved');
  const isBusy = state.ledger.phase.kind !== 'open';
  const stayed = before.ledger.sessions.filter(({ children }) =>
    children.every(({ candidates }) => candidates.every((name) => has(namesOf(state), name))),
  );
  if (isBusy || stayed.length > 0) demand(gone.length === 0, 'N24: moved during a key generation');
  if (gone.length > 0) demand(namesOf(state).length >= 11, 'MEMBERSHIP-B10: too few stay');
  for (const { name, age, destination } of lots) {
    const isElder = state.authority.elders.some((each) => equalBytes(each.name, name));
    demand(!isElder, 'N36: an elder moves');
    demand(has(wasThere, name), 'N36: it only just joined');
    demand(age === Math.min(255, ageOf(name) + 1), 'N36: another age than its due');
    const expected = labelledHash('safe/v1/relocation-destination', name, churnId);
    demand(equalBytes(destination, expected), 'N36: another destination');
  }
  if (lots.length === 0) return;
  const zeros = zerosOf(churnId);
  const oldest = Math.max(...lots.map(({ name }) => ageOf(name)));
  demand(
    lots.every(({ name }) => ageOf(name) === oldest && oldest <= zeros),
    'N36: drew no lot',
  );
  const grown = wasThere.filter((name) => ageOf(name) > 5).length;
  const turnover = applied
    .map(({ body }) => body)
    .filter((body) => body.kind === 'join' || body.kind === 'leave' || body.kind === 'demote');
  const counted =
    2 * grown < wasThere.length ? turnover : turnover.filter(({ name }) => ageOf(name) > 5);
  demand(counted.length > 0, 'N39: lots drawn for beginners');
  const target = labelledHash('safe/v1/churn-order', churnId);
  const sorted = lots.every(
    ({ name }, at) => at === 0 || compareDistance(target, lots[at - 1]!.name, name) < 0,
  );
  demand(sorted, 'N36: not the nearest first');
}

function zerosOf(churnId: Uint8Array): number {
  let number = 0n;
  for (const byte of churnId) number = (number << 8n) | BigInt(byte);
  let zeros = 0;
  while (zeros < 256 && (number >> BigInt(zeros)) % 2n === 0n) zeros++;
  return zeros;
}

const namesOf = ({ authority }: SectionState): readonly XorName[] =>
  authority.members.map(({ name }) => name);

const has = (names: readonly Uint8Array[], name: Uint8Array): boolean =>
  names.some((each) => equalBytes(each, name));

const sameSet = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.every((name) => has(b, name)) && b.every((name) => has(a, name));

const sameRelocation = (a: RelocationDetails, b: RelocationDetails): boolean =>
  equalBytes(relocationId(networkId, a), relocationId(networkId, b));

/** The sealed bytes: the authority, which contains the hash of the ledger. */
const fingerprint = ({ authority }: SectionState): string =>
  toHex(authoritySigningBytes(authority));
