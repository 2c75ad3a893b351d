/**
 * Goal: no single node can delay a new one: others are asked in turn, also after an answer that may be
 * old (N33).
 * Method: nodes that answer from a table; a search with the test's timers; the section's machine with
 * an in-memory store, for the wiring.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { err, ok } from '#core/result.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  createStateRequests,
  startStateSearch,
  type StateAnswer,
} from '#node/joining/state-search.ts';
import { sectionRunner } from '#node/section/section-runner.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import { publicKeyOf } from '#node/keys/native-ed25519.ts';
import type { NodeIdentity } from '#node/data-folder/node-identity.ts';
import type { SectionCallbacks, NodeStanding } from '#node/section/section-handle.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  createTree,
  encodeAddressRecord,
  encodeSignedAuthority,
  encodeSuccessor,
  signAddressRecord,
  treeWith,
  type SignedAuthority,
} from '#protocol/section/index.ts';
import { performSectionNodeJob } from '#roles/section-node/jobs.ts';
import type { SectionNodeFact } from '#roles/section-node/state.ts';
import { decodeIncomingRequest, encodeClientReply } from '#roles/wire/client.ts';
import { encodeNodeFact } from '#roles/wire/section-messages.ts';
import { proofFor } from '#roles/wire/routed.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { toySuites } from '../../../sim/toys/curves.ts';
import { both, genesis, only, sign, succeed, type TestSection } from '../../section/network.ts';

const born = genesis('first state', 2);
const { anchor } = born;
const later = only(succeed(born, 'later').children);
const reported = (living: TestSection): Uint8Array =>
  encodeSignedAuthority(sign(living, living.chain.length));
/** A node's answer without further pages. */
const from = (authority: Uint8Array): StateAnswer => ({
  authority,
  ask: async () => err('nothing more'),
});
const seed = (n: number): Uint8Array => sha256(Uint8Array.of(n));
const nameOf = (n: number): Uint8Array => publicKeyOf(seed(n));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Numbered nodes of a table; null for one that gives no answer. */
const answering = (
  states: Readonly<Record<number, Uint8Array | null>>,
  trusted: readonly number[] = [],
) => {
  const nodes = Object.keys(states).map(Number);
  const asked: number[] = [];
  const ask = createStateRequests({
    own: nameOf(99),
    trusted: () => trusted.map(nameOf),
    names: () => [nameOf(99), ...nodes.map(nameOf)],
    request: async (name, bytes) => {
      const request = decodeIncomingRequest(bytes);
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
    const reported = (await ask()).map(({ authority }) => authority[0]);
    return { told: reported, asked: [...asked] };
  };
  return { search };
};
const state = (n: number): Uint8Array => Uint8Array.of(n);

test('one trusted node and one of all are asked, each time the next ones, and unresponsive nodes are skipped', async () => {
  const all = { 1: state(1), 2: state(2), 3: state(3), 4: null, 5: state(5) };
  const { search } = answering(all, [1, 2]);
  const searches = [];
  for (let n = 0; n < 5; n++) searches.push(await search());
  for (const { told: reported, asked } of searches) {
    expect(reported).toHaveLength(2);
    expect([1, 2]).toContain(reported[0]);
    expect(new Set(asked).size).toBe(asked.length);
  }
  const heard = new Set(searches.flatMap(({ told: reported }) => reported));
  expect(heard).toEqual(new Set([1, 2, 3, 5]));
});

test('sixty unknown names do not keep a node from a trusted one, and one search asks few of them', async () => {
  const silent = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [n + 10, null]));
  const { search } = answering({ ...silent, 80: state(80) }, [80]);
  for (let n = 0; n < 20; n++) {
    const { told: reported, asked } = await search();
    expect(reported).toContain(80);
    expect(asked.length).toBeLessThanOrEqual(5);
  }
  const alone = await answering(silent).search();
  expect(alone.told).toEqual([]);
  expect(alone.asked.length).toBeLessThanOrEqual(4);
});

test('an empty answer is handled when no node is reachable', async () => {
  expect(await answering({}).search()).toEqual({ told: [], asked: [] });
});

test('the search continues slowly while this node is not a member, and ends when it is', async () => {
  let asked = 0;
  const heard: SignedAuthority[] = [];
  const ask = async () => {
    asked += 1;
    return [Uint8Array.of(7), reported(born)].map(from);
  };
  const search = startStateSearch(ask, async (signed) => void heard.push(signed));
  await vi.advanceTimersByTimeAsync(3_500);
  expect([asked, heard.length]).toEqual([4, 4]);
  search.onStateKnown();
  await vi.advanceTimersByTimeAsync(61_000);
  expect(asked).toBe(9);
  search.onMember();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toBe(9);
});

test('without a known state the first searches are fast, the later ones slow', async () => {
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

test('a finished search sends no more requests for what it was reading', async () => {
  let requests = 0;
  const answer: StateAnswer = {
    authority: reported(born),
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
  search.onMember();
  const before = requests;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(requests).toBe(before);
});

/** The section of a new node that knows no state yet, and the node it asks. */
async function newcomer(
  answers: () => readonly StateAnswer[],
  self = 99,
  kept: readonly SectionNodeFact[] = [],
  append: () => Promise<void> = async () => undefined,
) {
  const identity = {
    name: nameOf(self),
    seed: seed(self),
    sharing: { key: new Uint8Array(32).fill(1), secret: new Uint8Array(32).fill(1) },
  } as unknown as NodeIdentity;
  const facts = {
    load: async () => kept.map(encodeNodeFact),
    append,
    appendOnce: async () => undefined,
    appendAndForget: async () => undefined,
  } as unknown as FactStore;
  const spokenTo = new Set<string>();
  const failures: unknown[] = [];
  const standings: NodeStanding[] = [];
  const records: Uint8Array[] = [];
  const ports = new Proxy({} as SectionCallbacks, {
    get: (_, name) => {
      if (name === 'onFailure') {
        return (error: unknown) => void failures.push(error);
      }
      if (name === 'send') return (to: string) => void spokenTo.add(to);
      if (name === 'onAdopted') return (standing: NodeStanding) => void standings.push(standing);
      return () => undefined;
    },
  });
  const section = await sectionRunner({
    identity,
    anchor,
    facts,
    jobs: {
      run: async (_kind: string, job: never) => performSectionNodeJob(job, toySuites),
      stop: async () => undefined,
    } as never,
    metrics: createMetrics(),
    suites: toySuites,
    genesis: null,
    requestStates: async () => answers(),
    records: (all) => void records.push(...all),
    certificate: null,
    reach: async () => false,
  })(ports);
  return { section, spokenTo, standings, records, failures };
}

test('a section whose facts cannot be stored reports it to its node, once', async () => {
  const { section, failures } = await newcomer(
    () => [],
    99,
    [],
    async () => {
      throw new Error('no space');
    },
  );
  section.setVacancies(0, 'once');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(failures.map(String)).toEqual(['Error: no space']);
  section.stop();
});

test('a liar that always answers first does not hide the elders that another node names', async () => {
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
  const { section, spokenTo } = await newcomer(() => [lie, reported(later)].map(from));
  await vi.advanceTimersByTimeAsync(10);
  for (const { name } of later.state.authority.elders) expect(spokenTo).toContain(nameToId(name));
  section.stop();
});

test('the genesis state, from a node that hides later ones, does not end the search', async () => {
  let answers = [reported(born)];
  const { section, spokenTo, standings } = await newcomer(() => answers.map(from));
  await vi.advanceTimersByTimeAsync(100);
  expect(standings.map(({ role }) => role)).toEqual(['outsider']);
  answers = [reported(born), reported(later)];
  await vi.advanceTimersByTimeAsync(16_000);
  for (const { name } of later.state.authority.elders) expect(spokenTo).toContain(nameToId(name));
  section.stop();
});

test('a node that reaches another section first is directed to its own, and asks to join there', async () => {
  const halves = both(succeed(only(succeed(later, 'last').children), 'zero', 'one').children);
  const self = [99, 98, 97, 96, 95].find((n) => (nameOf(n)[0] ?? 0) >= 128) ?? 99;
  const [theirs, ours] = [sign(halves[0], 3), sign(halves[1], 3)];
  const known = [theirs, ours].reduce((tree, signed) => {
    const next = treeWith(tree, signed);
    if (!next.ok) throw new Error('a network of its own making');
    return next.value;
  }, createTree(anchor));
  const recordOf = (bytes: Uint8Array): Uint8Array =>
    encodeAddressRecord({
      ...signAddressRecord(seed(7), anchor.networkId, 1n, ['/ip4/127.0.0.1/tcp/1']),
      name: toXorName(bytes),
    });
  const elder = ours.authority.elders[3]?.name ?? new Uint8Array(32);
  const ask: StateAnswer['ask'] = async (bytes) => {
    const request = decodeIncomingRequest(bytes);
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
  // The round in which it asks to join.
  await vi.advanceTimersByTimeAsync(6_000);
  for (const { name } of ours.authority.elders) expect(spokenTo).toContain(nameToId(name));
  for (const { name } of theirs.authority.elders) {
    expect(spokenTo).not.toContain(nameToId(name));
  }
  // Addresses of proven elders, from each node that shows the whole key path.
  expect(records.length).toBeGreaterThan(0);
  expect(new Set(records.map(toHex))).toEqual(new Set([toHex(recordOf(elder))]));
  expect(records.length).toBeLessThanOrEqual(6);
  section.stop();
});

test('a node that sends one link at a time, and late, does not delay requests to the next ones', async () => {
  let newest: TestSection = later;
  for (let n = 0; n < 20; n++) newest = only(succeed(newest, `long ${n}`).children);
  const halves = both(succeed(newest, 'zero of many', 'one of many').children);
  const self = [99, 98, 97, 96, 95].find((n) => (nameOf(n)[0] ?? 0) >= 128) ?? 99;
  let pages = 0;
  const ask: StateAnswer['ask'] = async (bytes) => {
    const request = decodeIncomingRequest(bytes);
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

test('links on the node’s own disk are not requested again', async () => {
  const halves = both(succeed(only(succeed(later, 'kept').children), 'k zero', 'k one').children);
  const self = [99, 98, 97, 96, 95].find((n) => (nameOf(n)[0] ?? 0) >= 128) ?? 99;
  const { chain } = halves[0];
  const asked: Uint8Array[] = [];
  const ask: StateAnswer['ask'] = async (bytes) => {
    const request = decodeIncomingRequest(bytes);
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
