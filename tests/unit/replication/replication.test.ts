/**
 * Goal: placement follows from placement ids alone (N37), and a storing node accepts, serves and
 * drops only what the sealed state and proofs allow (N41–N43).
 */
import { expect, test } from 'vitest';
import { child, EMPTY_PREFIX } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { fromHex, utf8 } from '#core/codec/bytes.ts';
import type { Effect } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { encodePointer, signPointer } from '#data/pointer-record.ts';
import { receiptBytes, storedChunk } from '#data/storage-receipt.ts';
import {
  adultsByDistance,
  auditVerdict,
  challengeOf,
  confirmationBytes,
  decodeReplicationMessage,
  encodeReplicationMessage,
  holdersOf,
  isAtLeast,
  isHolder,
  adultsOf,
  maySendCopy,
  noDigest,
  possessionProof,
  replication,
  settleAudit,
  stateRefOf,
  startAudit,
  withProof,
  type Item,
  type PlacedSection,
  type Replication,
  type ReplicationConfig,
  type ReplicationInput,
  type ReplicationMessage,
  type ReplicationState,
} from '#protocol/replication/index.ts';
import { chunkItem, recordItem } from '../../sim/replication/replication-net.ts';
import { toyIdentity, toyIdentitySuite } from '../../sim/toys/toy-suite.ts';

const hash = (text: string): Uint8Array => labelledHash('safe/test', utf8(text));
const networkId = hash('network');
const seeds = Array.from({ length: 10 }, (_, i) => hash(`seed ${i}`));
const names = seeds.map(toyIdentity);
const seedOf = new Map(names.map((name, i) => [nameToId(name), seeds[i] ?? hash('none')]));

const sectionOf = (members: readonly Uint8Array[], generation = 1n): PlacedSection => ({
  prefix: EMPTY_PREFIX,
  key: new Uint8Array(96).fill(7),
  generation,
  elders: [{ name: hash('elder') }],
  members: [hash('elder'), ...members].map((name) => ({
    name,
    placement: labelledHash('safe/test/placement', name),
  })),
});
const section = sectionOf(names);

const bytes = utf8('a chunk that four adults keep');
const item = chunkItem(bytes);
const byDistance = adultsOf(section).map(({ id }) => id);
const holders = holdersOf(section, item.name).map(({ id }) => id);
const outsider = byDistance.find((id) => !holders.includes(id)) ?? '';
const nameOf = (id: string): Uint8Array => {
  const name = fromHex(id);
  return name.ok ? name.value : hash('none');
};

const configOf = (id: string): ReplicationConfig => ({
  networkId,
  self: nameOf(id),
  identitySeed: seedOf.get(id) ?? hash('none'),
  identity: toyIdentitySuite,
  tickMs: 1_000,
  budgetBytesPerTick: 100,
  budgetBurstBytes: 100,
  relistEveryTicks: 60,
});

const context = { now: 0, entropy: hash('entropy') };

/** One node and all its effects. */
function node(id: string, ...stock: readonly Item[]) {
  const config = configOf(id);
  let state: ReplicationState = replication.start(config, [], context).state;
  const step = (event: Parameters<typeof replication.step>[2]): readonly Effect<Replication>[] => {
    const next = replication.step(config, state, event, context);
    state = next.state;
    return next.effects;
  };
  const input = (each: ReplicationInput) => step({ kind: 'input', input: each });
  input({ kind: 'found', items: stock });
  input({ kind: 'inventoryComplete' });
  return {
    config,
    state: () => state,
    input,
    adopt: (each: PlacedSection = section, others: readonly PlacedSection[] = []) =>
      input({ kind: 'adopted', section: each, others }),
    receive: (from: string, message: ReplicationMessage) =>
      step({ kind: 'received', from, message }),
    tick: () => step({ kind: 'timerFired', timer: 'tick' }),
  };
}

const sent = (effects: readonly Effect<Replication>[]) =>
  effects.flatMap((each) => (each.kind === 'send' ? [each.message] : []));
const outputs = (effects: readonly Effect<Replication>[]) =>
  effects.flatMap((each) => (each.kind === 'output' ? [each.output] : []));

test('N37: names ground close to a chunk do not make their nodes its holders', () => {
  const ground = Array.from({ length: 4 }, (_, i) =>
    Uint8Array.from(item.name, (byte, at) => (at === 31 ? byte ^ (i + 1) : byte)),
  );
  const among = sectionOf([...names, ...ground]);
  const chosen = holdersOf(among, item.name).map(({ id }) => id);
  expect(ground.filter((name) => chosen.includes(nameToId(name))).length).toBeLessThan(3);
  expect(holdersOf(section, item.name)).toHaveLength(4);
});

test('REPLICATION-P2, REPLICATION-P3: a full adult is skipped, and keeps its copies', () => {
  const full = new Set(holders.slice(0, 1));
  const now = holdersOf(section, item.name, full).map(({ id }) => id);
  expect(now.slice(0, 3)).toEqual(holders.slice(1));
  expect(now).toHaveLength(4);
  expect(isHolder(adultsOf(section), item.name, holders[0] ?? '', full)).toBe(true);
});

test('REPLICATION-P2: after a leave exactly one more adult must store a name', () => {
  const gone = holders[1] ?? '';
  const left = sectionOf(names.filter((name) => nameToId(name) !== gone));
  const now = holdersOf(left, item.name).map(({ id }) => id);
  expect(now.filter((id) => holders.includes(id))).toEqual(holders.filter((id) => id !== gone));
  expect(now.filter((id) => !holders.includes(id))).toHaveLength(1);
});

test('REPLICATION-R4, N42: listings and bytes go to holders only', () => {
  const keeper = node(holders[0] ?? '', item);
  keeper.adopt();
  const ask = (from: string) =>
    sent(keeper.receive(from, { kind: 'list', stateRef: stateRefOf(section), after: '' }));
  expect(ask(holders[1] ?? '')).toMatchObject([{ kind: 'listing', items: [item], next: null }]);
  expect(ask(outsider)).toMatchObject([{ kind: 'listing', items: [] }]);
  expect(ask(nameToId(hash('unknownNode')))).toEqual([]);
  expect(maySendCopy(keeper.config, keeper.state(), outsider, item.name)).toBe(false);
  expect(maySendCopy(keeper.config, keeper.state(), holders[2] ?? '', item.name)).toBe(true);
});

test('REPLICATION-R2, N43: the rarest is fetched first, and no more than the budget', () => {
  const [self = '', a = '', b = ''] = holders;
  const close = (n: number): Item => ({
    kind: 'chunk',
    name: Uint8Array.from(item.name, (byte, at) => (at === 31 ? byte ^ n : byte)),
    size: 60,
    version: 0n,
    digest: noDigest,
  });
  const [common, rare] = [close(1), close(2)];
  const puller = node(self);
  puller.adopt();
  const stateRef = stateRefOf(section);
  const members = section.members.map(({ name }) => nameToId(name));
  for (const from of members.filter((id) => id !== self)) {
    const items = from === a ? [common, rare] : from === b ? [common] : [];
    puller.receive(from, { kind: 'listing', stateRef, after: '', items, next: null });
  }
  const fetches = [...puller.state().fetching.values()];
  expect(fetches.map((each) => nameToId(each.item.name))[0]).toBe(nameToId(rare.name));
  expect(fetches).toHaveLength(1);
});

test('N41: a listing by an older state is ignored, and the newer one is requested', () => {
  const [self = '', a = ''] = holders;
  const puller = node(self);
  puller.adopt(sectionOf(names, 5n));
  puller.tick();
  const receive = (generation: bigint) =>
    puller.receive(a, {
      kind: 'listing',
      stateRef: stateRefOf(sectionOf(names, generation)),
      after: '',
      items: [item],
      next: null,
    });
  receive(4n);
  expect(puller.state().missing.size).toBe(0);
  expect(outputs(receive(6n))).toContainEqual({ kind: 'behind', peer: a });
  expect(puller.state().missing.size).toBe(1);
});

test('REPLICATION-R7: a relocated node that offers its copies is asked for its section’s state, no other node is', () => {
  const keeper = node(holders[0] ?? '');
  keeper.adopt(section);
  const relocating = nameToId(hash('mover'));
  const ask = (offered: boolean) =>
    keeper.receive(relocating, {
      kind: 'confirm',
      stateRef: stateRefOf(section),
      offered,
      challenges: [{ item, nonce: hash('nonce') }],
    });
  expect(outputs(ask(true))).toEqual([{ kind: 'behind', peer: relocating }]);
  expect(outputs(ask(false))).toEqual([]);
  expect(keeper.state().missing.size).toBe(0);
  const away = (item.name[0] ?? 0) < 128 ? 1 : 0;
  const elsewhere = { ...sectionOf([hash('mover')]), prefix: child(EMPTY_PREFIX, away) };
  keeper.adopt(section, [elsewhere]);
  expect(sent(ask(true))).toMatchObject([{ kind: 'missing', holder: true }]);
  expect(keeper.state().missing.size + keeper.state().fetching.size).toBeGreaterThan(0);
});

test('messages of an unknown node change nothing and get no answer, at most a state request', () => {
  const keeper = node(holders[0] ?? '', item);
  keeper.adopt();
  const unknownNode = nameToId(hash('unknownNode'));
  const [stateRef, nonce, before] = [stateRefOf(section), hash('nonce'), keeper.state()];
  const messages: readonly ReplicationMessage[] = [
    { kind: 'list', stateRef, after: '' },
    { kind: 'listing', stateRef, after: '', items: [item], next: null },
    { kind: 'confirm', stateRef, offered: true, challenges: [{ item, nonce }] },
    { kind: 'confirm', stateRef, offered: false, challenges: [{ item, nonce }] },
    { kind: 'confirmed', stateRef, item, nonce, proof: nonce, signature: new Uint8Array(64) },
    { kind: 'missing', stateRef, item, nonce, holder: true },
    { kind: 'diskFull', counter: 9n, full: true },
    { kind: 'repair', stateRef, items: [item] },
  ];
  for (const message of messages) {
    const effects = keeper.receive(unknownNode, message);
    expect(sent(effects), message.kind).toEqual([]);
    expect(effects.filter(({ kind }) => kind !== 'output' && kind !== 'blame')).toEqual([]);
    expect(outputs(effects).every(({ kind }) => kind === 'behind')).toBe(true);
  }
  expect(keeper.state()).toEqual(before);
});

test('N41: no holder confirms for another generation', () => {
  const keeper = node(holders[0] ?? '', item);
  keeper.adopt(sectionOf(names, 5n));
  const ask = (generation: bigint) =>
    keeper.receive(outsider, {
      kind: 'confirm',
      stateRef: stateRefOf(sectionOf(names, generation)),
      offered: true,
      challenges: [{ item, nonce: hash('nonce') }],
    });
  expect(sent(ask(4n))).toMatchObject([{ kind: 'missing', holder: false }]);
  expect(outputs(ask(5n))).toMatchObject([{ kind: 'prove' }]);
});

/** The challenges of a surplus holder, after it read its own copy. */
function startHandoff() {
  const surplus = node(outsider, item);
  surplus.adopt();
  const prove = outputs(surplus.tick()).find((each) => each.kind === 'prove');
  if (prove?.kind !== 'prove') throw new Error('it asks for its own proof first');
  surplus.input({
    kind: 'proved',
    id: prove.id,
    proof: possessionProof(prove.challenge, 'chunk', bytes),
  });
  const asked = sent(surplus.tick()).find((each) => each.kind === 'confirm');
  const nonce = asked?.kind === 'confirm' ? asked.challenges[0]?.nonce : undefined;
  if (nonce === undefined) throw new Error('it asks the holders');
  const challenge = challengeOf(networkId, nameOf(outsider), nonce);
  const answer = (
    from: string,
    proof = possessionProof(challenge, 'chunk', bytes),
    generation = 1n,
  ) => {
    const stateRef = stateRefOf(sectionOf(names, generation));
    const signed = confirmationBytes(networkId, stateRef, nameOf(from), item, challenge, proof);
    const signature = toyIdentitySuite.sign(seedOf.get(from) ?? hash('none'), signed);
    return surplus.receive(from, { kind: 'confirmed', stateRef, item, nonce, proof, signature });
  };
  return { surplus, answer, nonce };
}

test('REPLICATION-R7, N43: a surplus copy is dropped after four proofs, and not after three', () => {
  const { surplus, answer } = startHandoff();
  const drops = holders.map((id) => outputs(answer(id)).length);
  expect(drops).toEqual([0, 0, 0, 1]);
  expect([...surplus.state().inventory.items.values()].flatMap((each) => [...each])).toEqual([]);
});

test('REPLICATION-R7, N43: the same holder twice, a non-holder and an older generation do not count', () => {
  const { surplus, answer } = startHandoff();
  for (const id of holders.slice(0, 3)) answer(id);
  answer(holders[0] ?? '');
  answer(byDistance.find((id) => !holders.includes(id) && id !== outsider) ?? '');
  answer(holders[3] ?? '', undefined, 0n);
  expect(surplus.state().handoffs.size).toBe(1);
});

test('REPLICATION-R8: a new state invalidates all confirmations', () => {
  const { surplus, answer } = startHandoff();
  for (const id of holders.slice(0, 3)) answer(id);
  surplus.adopt(sectionOf(names, 2n));
  expect(outputs(answer(holders[3] ?? '', undefined, 2n))).toEqual([]);
});

test('N42: a proof that does not match the bytes is blamed', () => {
  const { answer } = startHandoff();
  const effects = answer(holders[0] ?? '', hash('made up'));
  expect(effects).toMatchObject([{ kind: 'blame', fault: { kind: 'wrongProof' } }]);
});

test('REPLICATION-A2, N42: a proof for one asker is invalid for another', () => {
  const nonce = hash('nonce');
  const own = challengeOf(networkId, nameOf(outsider), nonce);
  const other = challengeOf(networkId, nameOf(holders[0] ?? ''), nonce);
  expect(possessionProof(own, 'chunk', bytes)).not.toEqual(possessionProof(other, 'chunk', bytes));
});

test('REPLICATION-R9: an older generation is not adopted, even after a restart', () => {
  const config = configOf(outsider);
  const facts = [{ kind: 'adopted', self: config.self, generation: 9n }] as const;
  const { state } = replication.start(config, facts, context);
  const old = { kind: 'adopted', section: sectionOf(names, 8n), others: [] } as const;
  const next = replication.step(config, state, { kind: 'input', input: old }, context);
  expect(next.state.view).toBeNull();
});

test('REPLICATION-A1, N42: disagreeing holders are settled by the chunk itself', () => {
  const elder = hash('elder');
  const nonce = hash('nonce');
  const good = possessionProof(challengeOf(networkId, elder, nonce), 'chunk', bytes);
  const [a = '', b = '', c = '', d = ''] = holders;
  let audit = startAudit(item, holders, nonce);
  expect(auditVerdict(audit).kind).toBe('unanswered');
  audit = withProof(withProof(audit, a, good), b, good);
  expect(auditVerdict(withProof(audit, c, null))).toEqual({
    kind: 'agreed',
    unresponsive: [d],
    missing: [c],
  });
  audit = withProof(audit, c, hash('made up'));
  expect(auditVerdict(audit)).toEqual({ kind: 'disputed', from: [a, b, c] });
  expect(settleAudit(networkId, elder, audit, utf8('something else'))).toBeUndefined();
  expect(settleAudit(networkId, elder, audit, bytes)).toEqual([c]);
});

test('every message survives its encoding, and malformed ones do not decode', () => {
  const stateRef = stateRefOf(section);
  const nonce = hash('nonce');
  const message: ReplicationMessage = {
    kind: 'confirm',
    stateRef,
    offered: true,
    challenges: [{ item, nonce }],
  };
  expect(decodeReplicationMessage(encodeReplicationMessage(message))).toEqual({
    ok: true,
    value: message,
  });
  const wrong = [
    { ...message, challenges: [{ item: { ...item, size: 2 ** 30 }, nonce }] },
    { ...message, challenges: [{ item: { ...item, version: 1n }, nonce }] },
    { ...message, challenges: [{ item: { ...item, digest: nonce }, nonce }] },
    { ...message, challenges: [{ item: { ...item, kind: 'pointer' as const }, nonce }] },
    { ...message, challenges: [] },
    { kind: 'list' as const, stateRef, after: 'not an id' },
  ];
  for (const each of wrong) {
    expect(decodeReplicationMessage(encodeReplicationMessage(each)).ok).toBe(false);
  }
  const full: ReplicationMessage = {
    kind: 'listing',
    stateRef,
    after: '',
    items: Array.from({ length: 128 }, () => ({
      ...{ ...item, kind: 'pointer', version: 2n ** 60n, digest: hash('body') },
    })),
    next: null,
  };
  expect(decodeReplicationMessage(encodeReplicationMessage(full)).ok).toBe(true);
});

test('N41: a receipt contains network, key, generation and item', () => {
  const bytesFor = (each: PlacedSection, network = networkId, of = item.name) =>
    receiptBytes(network, stateRefOf(each), storedChunk(of));
  const first = bytesFor(section);
  expect(bytesFor(section)).toEqual(first);
  expect(bytesFor(sectionOf(names, 2n))).not.toEqual(first);
  expect(bytesFor({ ...section, key: new Uint8Array(96).fill(8) })).not.toEqual(first);
  expect(bytesFor(section, hash('other'))).not.toEqual(first);
  expect(bytesFor(section, networkId, hash('other'))).not.toEqual(first);
});

test('each change of a member’s report costs less, and after quiet time a change is accepted again', () => {
  const self = node(holders[0] ?? '', item);
  self.adopt();
  const other = holders[1] ?? '';
  let counter = 0n;
  const flipEvery = (ticks: number, from: boolean): number => {
    let full = from;
    let asked = 0;
    for (let tick = 0; tick < 1_200; tick++) {
      if (tick % ticks === 0) {
        full = !full;
        counter += 1n;
        self.receive(other, { kind: 'diskFull', counter, full });
      }
      asked += sent(self.tick()).filter(({ kind }) => kind === 'list').length;
    }
    return asked;
  };
  const quiet = (): number => {
    let asked = 0;
    for (let tick = 0; tick < 1_200; tick++) {
      asked += sent(self.tick()).filter(({ kind }) => kind === 'list').length;
    }
    return asked;
  };
  const rounds = quiet();
  expect(flipEvery(10, false)).toBeLessThan(1.5 * rounds);
  quiet();
  counter += 1n;
  self.receive(other, { kind: 'diskFull', counter, full: true });
  self.tick();
  counter += 1n;
  expect(self.state().diskFullReports.get(other)?.full).toBe(true);
});

test('one peer that invents items fills its own quota, and items of others have room', () => {
  const self = node(holders[0] ?? '');
  self.adopt();
  const [liar = '', honest = ''] = byDistance.filter((id) => id !== holders[0]);
  const stateRef = stateRefOf(section);
  const invented = (from: number): readonly Item[] =>
    Array.from({ length: 4_000 }, (_, n) => ({
      ...{ kind: 'chunk' as const, name: hash(`invented ${from + n}`), size: 1_000 },
      ...{ version: 0n, digest: noDigest },
    }))
      .filter(({ name }) => holdersOf(section, name).some(({ id }) => id === holders[0]))
      .slice(0, 32);
  for (let at = 0; at < 200; at++) {
    const challenges = invented(at * 4_000).map((each) => ({ item: each, nonce: hash('nonce') }));
    self.receive(liar, { kind: 'confirm', stateRef, offered: true, challenges });
    if (self.state().missing.size >= 1_024) break;
  }
  const before = self.state().missing.size;
  expect(before).toBe(1_024);
  self.receive(liar, {
    kind: 'confirm',
    stateRef,
    offered: true,
    challenges: invented(9_000_000).map((each) => ({ item: each, nonce: hash('nonce') })),
  });
  expect(self.state().missing.size).toBe(before);
  const question = { item, nonce: hash('nonce') };
  self.receive(honest, { kind: 'confirm', stateRef, offered: true, challenges: [question] });
  expect(self.state().missing.size).toBe(before + 1);
});

test('REPLICATION-R5: an elder that attributes a missing item to adults causes no blame', () => {
  const self = node(holders[0] ?? '');
  self.adopt();
  const elderId = nameToId(hash('elder'));
  const stateRef = stateRefOf(section);
  let blames = 0;
  const take = (effects: readonly Effect<Replication>[]): void => {
    blames += effects.filter(({ kind }) => kind === 'blame').length;
    for (const output of outputs(effects)) {
      if (output.kind !== 'fetch') continue;
      take(self.input({ kind: 'fetched', id: output.id, outcome: { kind: 'missing' } }));
    }
  };
  take(self.receive(elderId, { kind: 'repair', stateRef, items: [{ ...item, size: 10 }] }));
  for (let tick = 0; tick < 10; tick++) take(self.tick());
  expect(blames).toBe(0);
  expect(
    self.state().strikes.size === 0 || [...self.state().strikes.values()].every((n) => n === 0),
  ).toBe(true);
});

test('challenges of one peer block no other peer, and those of adults block no elder', () => {
  const self = node(holders[0] ?? '', item);
  self.adopt();
  const stateRef = stateRefOf(section);
  const ask = (from: string, count: number): number => {
    const challenges = Array.from({ length: count }, (_, n) => ({
      item,
      nonce: hash(`nonce ${n}`),
    }));
    const effects = self.receive(from, { kind: 'confirm', stateRef, offered: false, challenges });
    return outputs(effects).filter(({ kind }) => kind === 'prove').length;
  };
  const others = byDistance.filter((id) => id !== holders[0]);
  const [liar = ''] = others;
  expect(Array.from({ length: 8 }, () => ask(liar, 32)).reduce((a, b) => a + b)).toBe(32);
  for (const id of others.slice(1)) ask(id, 32);
  expect(ask(nameToId(hash('elder')), 1)).toBe(1);
});

/** One owner's two bodies of one version, in their order. */
const bodies = [utf8('one'), utf8('two')]
  .map((body) => encodePointer(signPointer(networkId, hash('owner'), 1n, body)))
  // Below the true size, so that it fits the budget of one tick.
  .map((record) => ({ record, item: { ...recordItem({ networkId }, record), size: 60 } }))
  .sort((a, b) => (isAtLeast(a.item, b.item) ? 1 : -1));
const [lesser, greater] = bodies as [(typeof bodies)[0], (typeof bodies)[0]];
const recordHolders = holdersOf(section, greater.item.name).map(({ id }) => id);
const recordOutsider = byDistance.find((id) => !recordHolders.includes(id)) ?? '';

/** Answers a node's proof requests to its own disk. */
const proving = (self: ReturnType<typeof node>, bytesFor: (item: Item) => Uint8Array | null) => {
  const take = (effects: readonly Effect<Replication>[]): readonly Effect<Replication>[] =>
    effects.flatMap((effect) => {
      if (effect.kind !== 'output' || effect.output.kind !== 'prove') return [effect];
      const { id, item: asked, challenge } = effect.output;
      const kept = bytesFor(asked);
      const proof = kept === null ? null : possessionProof(challenge, asked.kind, kept);
      return take(self.input({ kind: 'proved', id, proof }));
    });
  return take;
};

/** Offers a surplus copy to the four holders of a record, which all store the other body. */
function offer(surplus: typeof lesser, kept: typeof lesser) {
  const far = node(recordOutsider, surplus.item);
  const farTakes = proving(far, () => surplus.record);
  const keepers = recordHolders.map((id) => {
    const self = node(id, kept.item);
    self.adopt();
    return { id, self, takes: proving(self, () => kept.record) };
  });
  far.adopt();
  farTakes(far.tick());
  const effects: Effect<Replication>[] = [...farTakes(far.tick())];
  const collected: Effect<Replication>[] = [];
  for (const effect of effects) {
    if (effect.kind !== 'send') continue;
    for (const { id, self, takes } of keepers) {
      if (!effect.to.includes(id)) continue;
      const answers = takes(self.receive(recordOutsider, effect.message));
      collected.push(...answers);
      for (const answer of answers) {
        if (answer.kind === 'send') collected.push(...farTakes(far.receive(id, answer.message)));
      }
    }
  }
  return { collected, far };
}

test('REPLICATION-R10: a surplus copy of the lesser of two bodies is dropped when four holders have the greater one', () => {
  const { collected, far } = offer(lesser, greater);
  expect(outputs(collected)).toEqual([{ kind: 'drop', item: lesser.item }]);
  expect(far.state().handoffs.size).toBe(0);
});

test('REPLICATION-R10: holders fetch the greater of two bodies from a surplus copy, which stays until then', () => {
  const { collected, far } = offer(greater, lesser);
  expect(outputs(collected)).toHaveLength(4);
  for (const output of outputs(collected)) {
    expect(output).toMatchObject({ kind: 'fetch', holder: recordOutsider, item: greater.item });
  }
  expect(far.state().handoffs.size).toBe(1);
});

test('REPLICATION-P3: of a record that four closer adults hold, full ones included, only an older copy is renewed', () => {
  const line = adultsByDistance(adultsOf(section), greater.item.name).map(({ id }) => id);
  const [self = ''] = line.slice(5);
  const stateRef = stateRefOf(section);
  const fetchesWith = (...stock: readonly Item[]) => {
    const puller = node(self, ...stock);
    puller.adopt();
    for (const full of line.slice(0, 2))
      puller.receive(full, { kind: 'diskFull', counter: 1n, full: true });
    const effects = line.slice(0, 5).flatMap((from) => {
      const items = [greater.item];
      return puller.receive(from, { kind: 'listing', stateRef, after: '', items, next: null });
    });
    for (let at = 0; at < 4; at++) effects.push(...puller.tick());
    return outputs(effects).filter(({ kind }) => kind === 'fetch');
  };
  expect(fetchesWith()).toEqual([]);
  expect(fetchesWith(lesser.item)).toMatchObject([{ item: greater.item }]);
  expect(fetchesWith(greater.item)).toEqual([]);
});

test('REPLICATION-R10: a record with another signature has the same proof', () => {
  const challenge = hash('challenge');
  const other = greater.record.map((byte, at) => (at < greater.record.length - 64 ? byte : 0));
  expect(possessionProof(challenge, 'pointer', other)).toEqual(
    possessionProof(challenge, 'pointer', greater.record),
  );
  expect(possessionProof(challenge, 'pointer', lesser.record)).not.toEqual(
    possessionProof(challenge, 'pointer', greater.record),
  );
});

test('REPLICATION-R5: an older record is blamed only on a holder that offered the newer one itself', () => {
  const [self = '', other = ''] = recordHolders;
  const stateRef = stateRefOf(section);
  const outcomeOf = (message: ReplicationMessage, from: string) => {
    const puller = node(self);
    puller.adopt();
    puller.tick();
    let effects = puller.receive(from, message);
    for (let at = 0; at < 4 && outputs(effects).length === 0; at++) effects = puller.tick();
    const [fetch] = outputs(effects);
    if (fetch?.kind !== 'fetch') throw new Error('it fetches what it lacks');
    const outcome = { kind: 'older', bytes: 60 } as const;
    const after = puller.input({ kind: 'fetched', id: fetch.id, outcome });
    return after.filter(({ kind }) => kind === 'blame');
  };
  const { item: asked } = greater;
  const elderId = nameToId(hash('elder'));
  expect(outcomeOf({ kind: 'repair', stateRef, items: [asked] }, elderId)).toEqual([]);
  const challenges = [{ item: asked, nonce: hash('nonce') }];
  const offered = { kind: 'confirm', stateRef, offered: true, challenges } as const;
  expect(outcomeOf(offered, other)).toMatchObject([{ fault: { kind: 'wrongBytes' } }]);
});

/** Surplus copies of one node, by name. */
const surplusItems = (count: number): readonly Item[] =>
  Array.from({ length: 40 * count }, (_, n) => chunkItem(utf8(`surplus ${n}`)))
    .filter(({ name }) => holdersOf(section, name).every(({ id }) => id !== outsider))
    .slice(0, count);

test('REPLICATION-R11: a copy without confirmations yields its slot to the next one, and is tried again', () => {
  const items = surplusItems(70);
  const self = node(outsider, ...items);
  const takes = proving(self, (asked) => utf8(nameToId(asked.name)));
  self.adopt();
  const had = new Map<string, number>();
  let before = new Set<string>();
  for (let tick = 0; tick < 120; tick++) {
    takes(self.tick());
    const now = new Set(self.state().handoffs.keys());
    expect(now.size).toBeLessThanOrEqual(64);
    for (const id of now) if (!before.has(id)) had.set(id, (had.get(id) ?? 0) + 1);
    before = now;
  }
  expect(had.size).toBe(items.length);
  expect([...had.values()].some((times) => times > 1)).toBe(true);
});

test('constant writes by clients do not stop surplus copies from being offered', () => {
  const items = surplusItems(3);
  const self = node(outsider, ...items);
  const takes = proving(self, (asked) => utf8(nameToId(asked.name)));
  self.adopt();
  const offered = new Set<string>();
  for (let tick = 0; tick < 6; tick++) {
    self.input({ kind: 'stored', item: chunkItem(utf8(`written ${tick}`)) });
    for (const message of sent(takes(self.tick()))) {
      if (message.kind !== 'confirm') continue;
      for (const question of message.challenges) offered.add(nameToId(question.item.name));
    }
  }
  for (const each of items) expect(offered).toContain(nameToId(each.name));
});

test('a full page of records fits one message', () => {
  const items = Array.from({ length: 128 }, (_, n) => ({
    ...{ ...greater.item, name: hash(`record ${n}`), size: 64 * 1024 },
    ...{ version: (1n << 64n) - 1n },
  }));
  const after = `${'f'.repeat(64)}p`;
  const stateRef = { ...stateRefOf(section), generation: (1n << 64n) - 1n };
  const message = { kind: 'listing', stateRef, after, items, next: after } as const;
  const encoded = encodeReplicationMessage(message);
  expect(decodeReplicationMessage(encoded)).toEqual({ ok: true, value: message });
});
