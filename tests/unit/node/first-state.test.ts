/**
 * Goal: no single node can keep a new one waiting: others are asked in turn, also when an answer has come
 * that may be an old one (N33).
 * Method: nodes that answer from a table; a search with the timers of the test; the section's machine with
 * a store in memory, for the wiring.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { err, ok } from '#core/result.ts';
import { sha256 } from '#crypto/hash.ts';
import { createStateAsking, startStateSearch, type StateAnswer } from '#node/first-state.ts';
import { machineSection } from '#node/machine-section.ts';
import { createMetrics } from '#node/metrics.ts';
import { publicKeyOf } from '#node/native-ed25519.ts';
import type { NodeIdentity } from '#node/node-folder.ts';
import type { SectionPorts, Standing } from '#node/section-port.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  emptyTree,
  encodeAddressRecord,
  encodeSignedAuthority,
  encodeSuccessor,
  signAddressRecord,
  treeWith,
  type SignedAuthority,
} from '#protocol/section/index.ts';
import { performSectionNodeJob } from '#roles/section-node/jobs.ts';
import type { SectionNodeFact } from '#roles/section-node/state.ts';
import { decodeDoorRequest, encodeClientReply } from '#roles/wire/client.ts';
import { encodeNodeFact } from '#roles/wire/section.ts';
import { proofFor } from '#roles/wire/under.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { toySuites } from '../../sim/curves.ts';
import { both, genesis, only, sign, succeed, type Living } from '../section/network.ts';

const born = genesis('first state', 2);
const { anchor } = born;
const later = only(succeed(born, 'later').children);
const told = (living: Living): Uint8Array =>
  encodeSignedAuthority(sign(living, living.chain.length));
/** An answer of a node that says nothing more. */
const from = (authority: Uint8Array): StateAnswer => ({
  authority,
  ask: async () => err('nothing more'),
});
const seed = (n: number): Uint8Array => sha256(Uint8Array.of(n));
const nameOf = (n: number): Uint8Array => publicKeyOf(seed(n));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Nodes of a table, by number; null for one that gives no answer. */
const answering = (
  states: Readonly<Record<number, Uint8Array | null>>,
  trusted: readonly number[] = [],
) => {
  const nodes = Object.keys(states).map(Number);
  const asked: number[] = [];
  const ask = createStateAsking({
    own: nameOf(99),
    trusted: () => trusted.map(nameOf),
    names: () => [nameOf(99), ...nodes.map(nameOf)],
    request: async (name, bytes) => {
      const request = decodeDoorRequest(bytes);
      expect(request.ok && request.value.kind).toBe('authority');
      const at = nodes.find((n) => nameToId(nameOf(n)) === nameToId(name)) ?? 0;
      asked.push(at);
      const state = states[at] ?? null;
      return state === null
        ? err('away')
        : ok(encodeClientReply({ kind: 'authority', authority: state }));
    },
  });
  const search = async () => {
    asked.length = 0;
    const told = (await ask()).map(({ authority }) => authority[0]);
    return { told, asked: [...asked] };
  };
  return { search };
};
const state = (n: number): Uint8Array => Uint8Array.of(n);

test('one node that is trusted and one of all are asked, each time the next ones, and who is silent is passed over', async () => {
  const all = { 1: state(1), 2: state(2), 3: state(3), 4: null, 5: state(5) };
  const { search } = answering(all, [1, 2]);
  const searches = [];
  for (let n = 0; n < 5; n++) searches.push(await search());
  for (const { told, asked } of searches) {
    expect(told).toHaveLength(2);
    expect([1, 2]).toContain(told[0]);
    expect(new Set(asked).size).toBe(asked.length);
  }
  const heard = new Set(searches.flatMap(({ told }) => told));
  expect(heard).toEqual(new Set([1, 2, 3, 5]));
});

test('sixty names of strangers keep no node from one that is trusted, and one search asks few of them', async () => {
  const silent = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [n + 10, null]));
  const { search } = answering({ ...silent, 80: state(80) }, [80]);
  for (let n = 0; n < 20; n++) {
    const { told, asked } = await search();
    expect(told).toContain(80);
    expect(asked.length).toBeLessThanOrEqual(5);
  }
  const alone = await answering(silent).search();
  expect(alone.told).toEqual([]);
  expect(alone.asked.length).toBeLessThanOrEqual(4);
});

test('nobody there is an answer, too', async () => {
  expect(await answering({}).search()).toEqual({ told: [], asked: [] });
});

test('a search goes on slowly while this node is no member, and ends when it is one', async () => {
  let asked = 0;
  const heard: SignedAuthority[] = [];
  const ask = async () => {
    asked += 1;
    return [Uint8Array.of(7), told(born)].map(from);
  };
  const search = startStateSearch(ask, async (signed) => void heard.push(signed));
  await vi.advanceTimersByTimeAsync(3_500);
  expect([asked, heard.length]).toEqual([4, 4]);
  search.known();
  await vi.advanceTimersByTimeAsync(61_000);
  expect(asked).toBe(9);
  search.settled();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toBe(9);
});

test('while nothing is known the first searches follow quickly, the later ones slowly', async () => {
  let asked = 0;
  const search = startStateSearch(
    async () => {
      asked += 1;
      return [];
    },
    async () => undefined,
  );
  await vi.advanceTimersByTimeAsync(14_500);
  expect(asked).toBe(15);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toBe(27);
  search.stop();
});

test('once a search is over, what it was reading asks nothing more', async () => {
  let requests = 0;
  const answer: StateAnswer = {
    authority: told(born),
    ask: async () => {
      requests += 1;
      return err('nothing');
    },
  };
  const search = startStateSearch(
    async () => [answer],
    async (_, ask) => {
      for (let n = 0; n < 100; n++) {
        await ask(Uint8Array.of(1));
        await new Promise((go) => setTimeout(go, 100));
      }
    },
  );
  await vi.advanceTimersByTimeAsync(1_000);
  expect(requests).toBeGreaterThan(5);
  search.settled();
  const before = requests;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(requests).toBe(before);
});

/** The section of a newcomer that knows nothing yet, and whom it speaks to. */
async function newcomer(
  answers: () => readonly StateAnswer[],
  self = 99,
  kept: readonly SectionNodeFact[] = [],
) {
  const identity = {
    name: nameOf(self),
    seed: seed(self),
    sharing: { key: new Uint8Array(32).fill(1), secret: new Uint8Array(32).fill(1) },
  } as unknown as NodeIdentity;
  const facts = {
    load: async () => kept.map(encodeNodeFact),
    append: async () => undefined,
    appendOnce: async () => undefined,
    appendAndForget: async () => undefined,
  } as unknown as FactStore;
  const spokenTo = new Set<string>();
  const standings: Standing[] = [];
  const records: Uint8Array[] = [];
  const ports = new Proxy({} as SectionPorts, {
    get: (_, name) => {
      if (name === 'failed') {
        return (error: unknown) => {
          throw error;
        };
      }
      if (name === 'send') return (to: string) => void spokenTo.add(to);
      if (name === 'adopted') return (standing: Standing) => void standings.push(standing);
      return () => undefined;
    },
  });
  const section = await machineSection({
    identity,
    anchor,
    facts,
    jobs: {
      run: async (_kind: string, job: never) => performSectionNodeJob(job, toySuites),
      stop: async () => undefined,
    } as never,
    metrics: createMetrics(),
    suites: toySuites,
    founded: null,
    ask: async () => answers(),
    records: (all) => void records.push(...all),
    ticket: null,
    reach: async () => false,
  })(ports);
  return { section, spokenTo, standings, records };
}

test('a liar that always answers first keeps nobody from the elders that another node names', async () => {
  const lie = encodeSignedAuthority({
    ...sign(later, 1),
    authority: {
      ...later.state.authority,
      elders: later.state.authority.elders.map((each, n) => ({
        ...each,
        name: toXorName(nameOf(200 + n)),
      })),
    },
  });
  const { section, spokenTo } = await newcomer(() => [lie, told(later)].map(from));
  await vi.advanceTimersByTimeAsync(10);
  for (const { name } of later.state.authority.elders) expect(spokenTo).toContain(nameToId(name));
  section.stop();
});

test('the state of the birth, shown by somebody who hides what came after, does not end the search', async () => {
  let answers = [told(born)];
  const { section, spokenTo, standings } = await newcomer(() => answers.map(from));
  await vi.advanceTimersByTimeAsync(100);
  expect(standings.map(({ role }) => role)).toEqual(['outsider']);
  answers = [told(born), told(later)];
  await vi.advanceTimersByTimeAsync(16_000);
  for (const { name } of later.state.authority.elders) expect(spokenTo).toContain(nameToId(name));
  section.stop();
});

test('a newcomer of another section than the node that answers is led to its own, and asks to come in there', async () => {
  const halves = both(succeed(only(succeed(later, 'last').children), 'zero', 'one').children);
  const self = [99, 98, 97, 96, 95].find((n) => (nameOf(n)[0] ?? 0) >= 128) ?? 99;
  const [theirs, ours] = [sign(halves[0], 3), sign(halves[1], 3)];
  const known = [theirs, ours].reduce((tree, signed) => {
    const next = treeWith(tree, signed);
    if (!next.ok) throw new Error('a network of its own making');
    return next.value;
  }, emptyTree(anchor));
  const recordOf = (bytes: Uint8Array): Uint8Array =>
    encodeAddressRecord({
      ...signAddressRecord(seed(7), anchor.networkId, 1n, ['/ip4/127.0.0.1/tcp/1']),
      name: toXorName(bytes),
    });
  const elder = ours.authority.elders[3]?.name ?? new Uint8Array(32);
  const ask: StateAnswer['ask'] = async (bytes) => {
    const request = decodeDoorRequest(bytes);
    if (!request.ok || request.value.kind !== 'section') return err('no other question');
    const { name, from: key } = request.value;
    const { proof } = proofFor({ tree: known, own: theirs }, name, key);
    const invented = [recordOf(nameOf(150)), recordOf(elder), recordOf(elder)];
    return ok(encodeClientReply({ kind: 'proof', proof, records: invented }));
  };
  const lie = { ...theirs, authority: { ...theirs.authority, generation: 99n } };
  const lies = [
    { links: [], authority: lie },
    { links: [], authority: null },
  ];
  const liars = lies.map((shown): StateAnswer => {
    const proof = encodeProof(shown);
    const records = [recordOf(nameOf(151)), recordOf(elder)];
    const reply = encodeClientReply({ kind: 'proof', proof, records });
    return { authority: encodeSignedAuthority(theirs), ask: async () => ok(reply) };
  });
  const { section, spokenTo, records } = await newcomer(
    () => [...liars, { authority: encodeSignedAuthority(theirs), ask }],
    self,
  );
  // The round in which it asks to come in.
  await vi.advanceTimersByTimeAsync(6_000);
  for (const { name } of ours.authority.elders) expect(spokenTo).toContain(nameToId(name));
  for (const { name } of theirs.authority.elders) {
    expect(spokenTo).not.toContain(nameToId(name));
  }
  // Addresses of proven elders, and of each one, from whoever shows the whole way.
  expect(records.length).toBeGreaterThan(0);
  expect(new Set(records.map(toHex))).toEqual(new Set([toHex(recordOf(elder))]));
  expect(records.length).toBeLessThanOrEqual(6);
  section.stop();
});

test('who shows one link of a long way at a time, and late, keeps nobody from asking the next ones', async () => {
  let newest: Living = later;
  for (let n = 0; n < 20; n++) newest = only(succeed(newest, `long ${n}`).children);
  const halves = both(succeed(newest, 'zero of many', 'one of many').children);
  const self = [99, 98, 97, 96, 95].find((n) => (nameOf(n)[0] ?? 0) >= 128) ?? 99;
  let pages = 0;
  const ask: StateAnswer['ask'] = async (bytes) => {
    const request = decodeDoorRequest(bytes);
    if (!request.ok || request.value.kind !== 'section') return err('no other question');
    await new Promise((go) => setTimeout(go, 4_000));
    const links = halves[1].chain.slice(pages, pages + 1);
    pages += 1;
    const proof = encodeProof({ links, authority: null });
    return ok(encodeClientReply({ kind: 'proof', proof, records: [] }));
  };
  let searches = 0;
  const { section } = await newcomer(() => {
    searches += 1;
    return [{ authority: encodeSignedAuthority(sign(halves[0], 0)), ask }];
  }, self);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(pages).toBeGreaterThan(3);
  expect(searches).toBe(1);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(searches).toBe(2);
  section.stop();
});

test('links that the node has on its disk are not asked for again', async () => {
  const halves = both(succeed(only(succeed(later, 'kept').children), 'k zero', 'k one').children);
  const self = [99, 98, 97, 96, 95].find((n) => (nameOf(n)[0] ?? 0) >= 128) ?? 99;
  const { chain } = halves[0];
  const asked: Uint8Array[] = [];
  const ask: StateAnswer['ask'] = async (bytes) => {
    const request = decodeDoorRequest(bytes);
    if (request.ok && request.value.kind === 'section') asked.push(request.value.from);
    return err('silent');
  };
  const links = chain.slice(0, 2).map(encodeSuccessor);
  const { section } = await newcomer(
    () => [{ authority: encodeSignedAuthority(sign(halves[0], 0)), ask }],
    self,
    [{ kind: 'links', links }],
  );
  await vi.advanceTimersByTimeAsync(100);
  expect(asked).toEqual([chain[2]?.record.parentKey]);
  section.stop();
});
