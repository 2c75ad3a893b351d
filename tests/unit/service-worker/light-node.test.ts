/**
 * Goal: the light node trusts no single bootstrap node, notices section changes, syncs chains longer than a
 * page, and shows a conflicting successor instead of following it (N33). Method: a toy network behind a
 * fake host; the disk is a map.
 */
import { beforeEach, expect, test, vi } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import type { Transport } from '#bridge/worker-messages.ts';
import { toHex } from '#core/codec/bytes.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { sha256 } from '#crypto/hash.ts';
import { chainPageFor, encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  createTree,
  encodeAddressRecord,
  encodeSignedAuthority,
  learn,
  sectionProofOf,
  signAddressRecord,
  trustedUpdate,
} from '#protocol/section/index.ts';
import type { LightHostOptions } from '#network/light-host.ts';
import { decodeIncomingRequest, encodeClientReply, type ClientReply } from '#roles/wire/client.ts';
import { proofFor } from '#roles/wire/routed.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { makeSection } from '../section/fixtures.ts';
import { genesis, only, sign, succeed, type TestSection } from '../section/network.ts';

vi.mock('#crypto/threshold-suite.ts', () => ({ blsSuite: toySuite }));
vi.mock('../../../src/service-worker/scope.ts', () => ({ instanceId: 'test', scope: {} }));
vi.mock('../../../src/service-worker/rtc-host-port.ts', () => ({
  rtcReady: async () => 'a page hosts connections',
}));
const disk = new Map<string, unknown>();
vi.mock('#storage/browser/worker-store.ts', () => ({
  workerStore: {
    pins: async (id: string) => disk.get(id),
    savePins: async (id: string, kept: unknown) => {
      if (disk.get('full') === true) throw new DOMException('no room', 'QuotaExceededError');
      disk.set(id, kept);
    },
    transports: async () => new Map([['kept', 'relayed']]),
    saveTransport: async (id: string, transport: string) => {
      disk.set(`transport ${id}`, transport);
    },
  },
}));
type Asked = (bytes: Uint8Array) => ClientReply | null;
interface World {
  bootstraps: Asked[];
  elder: (name: string) => Asked;
  transport: Transport | null;
  host: LightHostOptions | undefined;
}
const world: World = {
  bootstraps: [],
  elder: () => () => null,
  transport: null,
  host: undefined,
};
const reply = (asked: Asked | undefined, bytes: Uint8Array) => {
  const answer = asked?.(bytes) ?? null;
  return answer === null
    ? ({ ok: false, error: { kind: 'unreachable' } } as const)
    : ({ ok: true, value: encodeClientReply(answer) } as const);
};
vi.mock('#network/light-host.ts', () => ({
  createLightHost: async (options: LightHostOptions) => ({
    ...{ options: (world.host = options) },
    ask: async (elder: { name: Uint8Array }, bytes: Uint8Array) =>
      reply(world.elder(nameToId(elder.name)), bytes),
    askBootstrap: async (at: number, bytes: Uint8Array) => reply(world.bootstraps[at], bytes),
    view: () => ({
      ...{ transport: world.transport, state: 'idle', roundTripMs: null, bytesIn: 0, bytesOut: 0 },
    }),
    isBackingOff: () => false,
    reconnectByPreference: () => undefined,
    stop: async () => undefined,
  }),
}));
const shipped = vi.hoisted(() => ({ file: { format: 1, networks: [] as unknown[] } }));
vi.mock('../../../src/service-worker/checkpoints.json', () => ({
  get default() {
    return shipped.file;
  },
}));
const { startLightNode } = await import('../../../src/service-worker/light-node/light-node.ts');

const born = genesis('light', 2);
const { anchor } = born;
const networkId = toHex(anchor.networkId);
const file = (bootstraps: number) => ({
  format: 1 as const,
  name: 'light',
  networkId,
  genesisKey: toHex(anchor.genesisKey),
  protocol: 2 as const,
  bootstrap: Array.from({ length: bootstraps }, (_, at) => `/dns4/${at}`),
  supply: '1',
  faucet: null,
});

const after = (handovers: number, word = 'k'): TestSection => {
  let living: TestSection = born;
  for (let n = 1; n <= handovers; n++) living = only(succeed(living, `${word}${n}`).children);
  return living;
};

/** A node that knows this section and its chain, and sends both to any client. */
const knowing = (living: TestSection, records: readonly Uint8Array[] = []): Asked => {
  const tree = [...living.chain.keys()].reduce(
    (before, at) =>
      learn(before, trustedUpdate({ links: living.chain.slice(at, at + 1), authority: null })).tree,
    createTree(anchor),
  );
  const whole = learn(tree, trustedUpdate(sectionProofOf(sign(living, 0)))).tree;
  return (bytes) => {
    const request = decodeIncomingRequest(bytes);
    if (!request.ok) return null;
    const { value } = request;
    if (value.kind === 'addresses') return { kind: 'addresses', records: [...records] };
    if (value.kind === 'authority') {
      // Like real nodes: the whole chain if it fits, else the newest link.
      const links = living.chain.length <= 16 ? living.chain.length : 1;
      return { kind: 'authority', authority: encodeSignedAuthority(sign(living, links)) };
    }
    if (value.kind !== 'section') return null;
    const view = { tree: whole, own: sign(living, 0) };
    return { kind: 'proof', proof: proofFor(view, value.name, value.from).proof, records: [] };
  };
};

const start = (bootstraps: number) =>
  startLightNode(
    file(bootstraps),
    () => 'automatic',
    () => undefined,
  );

beforeEach(() => {
  disk.clear();
  shipped.file = { format: 1, networks: [] };
  world.bootstraps = [];
  world.elder = () => () => null;
  world.transport = null;
});

test('its host gets the transports that worked before, the choice, and the wait for a page', async () => {
  await start(1);
  expect(world.host?.lastTransports).toEqual(new Map([['kept', 'relayed']]));
  expect(world.host?.preference()).toBe('automatic');
  expect(await world.host?.rtcReady()).toBe('a page hosts connections');
});

test('the transport of an elder is kept once it has answered, and not before', async () => {
  world.bootstraps = [knowing(born)];
  const node = await start(1);
  const [elder] = (await node.section()).elders;
  if (elder === undefined) throw new Error('an elder');
  const request = { kind: 'outputs', after: 0, limit: 1 } as const;
  const kept = (): unknown => disk.get(`transport ${nameToId(elder.name)}`);
  world.transport = 'direct';
  await node.ask(elder, request, 1_000);
  expect(kept()).toBeUndefined();
  world.elder = () => () => ({ kind: 'outputs', entries: [], next: 0, more: false });
  await node.ask(elder, request, 1_000);
  expect(kept()).toBe('direct');
});

test('a new section reaches those that listen, until they stop', async () => {
  world.bootstraps = [knowing(born)];
  const node = await start(1);
  await node.section();
  const epochs: bigint[] = [];
  const stop = node.onSectionsChanged(() =>
    epochs.push(...node.paymentSections().current.map(({ epoch }) => epoch)),
  );
  world.elder = () => knowing(after(1));
  await node.checkForUpdates();
  expect(epochs.at(-1)).toBe(1n);
  stop();
  const seen = epochs.length;
  const [elder] = (await node.section()).elders;
  if (elder === undefined) throw new Error('an elder');
  world.elder = () => knowing(after(2));
  await node.catchUp(elder, new Uint8Array(32), 1_000);
  expect(node.paymentSections().current.map(({ epoch }) => epoch)).toEqual([2n]);
  expect(epochs).toHaveLength(seen);
});

test("N33: one bootstrap node hides a handover → the other one's proof wins", async () => {
  world.bootstraps = [knowing(born), knowing(after(2))];
  const node = await start(2);
  expect((await node.section()).authority.epoch).toBe(2n);
  expect(node.view()).toMatchObject({ trust: 'verified', verifiedEpoch: 2, fork: null });
});

test('N33: two bootstrap nodes with different successors → the fork is shown', async () => {
  world.bootstraps = [knowing(after(1)), knowing(after(1, 'fraud'))];
  const node = await start(2);
  const first = toHex(after(1).state.authority.key);
  expect(toHex((await node.section()).authority.key)).toBe(first);
  const view = node.view();
  expect(view).toMatchObject({ trust: 'refused', fork: { epoch: 0, prefix: '()' } });
  expect(view.sentence).toMatch(/^A section has named two different successors.*\.$/);
  // A restart changes nothing, and the first branch continues.
  world.bootstraps = [knowing(after(2))];
  const again = await start(1);
  await again.section();
  await vi.waitFor(() => expect(again.view().verifiedEpoch).toBe(2), { timeout: 20_000 });
  expect(again.view().fork).toEqual({ epoch: 0, prefix: '()' });
});

test('an unresponsive bootstrap node does not block the other', async () => {
  world.bootstraps = [() => null, knowing(after(1))];
  const node = await start(2);
  expect((await node.section()).authority.epoch).toBe(1n);
});

test('N31: after forty handovers a new device reads the chain from an elder, page by page', async () => {
  const living = after(40);
  const seed = sha256(Uint8Array.of(7));
  const record = signAddressRecord(seed, anchor.networkId, 1n, ['/ip4/127.0.0.1/tcp/1']);
  world.bootstraps = [knowing(living, [encodeAddressRecord(record)])];
  world.elder = (name) =>
    name === nameToId(ed25519PublicKey(seed)) ? knowing(living) : () => null;
  const node = await start(1);
  expect((await node.section()).authority.epoch).toBe(40n);
  expect(node.view().verifiedEpoch).toBe(40);
  // The vault gets the same chain in pages of its own.
  const page = await node.proof(new Uint8Array(32), anchor.genesisKey);
  expect(page).toEqual(encodeProof({ links: living.chain.slice(0, 16), authority: null }));
});

test('after forty missed handovers a device continues the chain from its last key', async () => {
  const seed = sha256(Uint8Array.of(7));
  const record = signAddressRecord(seed, anchor.networkId, 1n, ['/ip4/127.0.0.1/tcp/1']);
  const records = [encodeAddressRecord(record)];
  world.bootstraps = [knowing(after(1), records)];
  await (await start(1)).section();
  const living = after(40);
  world.bootstraps = [knowing(living, records)];
  world.elder = (name) =>
    name === nameToId(ed25519PublicKey(seed)) ? knowing(living) : () => null;
  const again = await start(1);
  await again.section();
  await vi.waitFor(() => expect(again.view().verifiedEpoch).toBe(40), { timeout: 20_000 });
});

test('while a page watches, one elder is asked, and the page gets the new key', async () => {
  world.bootstraps = [knowing(born)];
  const node = await start(1);
  await node.section();
  let asked = 0;
  world.elder = () => (bytes) => {
    asked += 1;
    return knowing(after(1))(bytes);
  };
  await Promise.all([node.checkForUpdates(), node.checkForUpdates(), node.checkForUpdates()]);
  expect(asked).toBe(1);
  expect(node.view().sections.map(({ epoch }) => epoch)).toEqual([1]);
});

test('N30: a request under an old key is refused with proof, and resent under the new one', async () => {
  world.bootstraps = [knowing(born)];
  const node = await start(1);
  const { elders } = await node.section();
  const living = after(1);
  const keys: string[] = [];
  world.elder = () => (bytes) => {
    const request = decodeIncomingRequest(bytes);
    if (!request.ok || request.value.kind !== 'routed') return knowing(living)(bytes);
    keys.push(toHex(request.value.key));
    if (keys.at(-1) === toHex(living.state.authority.key)) {
      return { kind: 'outputs', entries: [], next: 0, more: false };
    }
    const tree = learn(createTree(anchor), trustedUpdate(sectionProofOf(sign(living)))).tree;
    const proof = encodeProof(chainPageFor(tree, request.value.key, sign(living, 0)));
    return { kind: 'refused', refusal: { kind: 'retry', proof } };
  };
  const [elder] = elders;
  if (elder === undefined) throw new Error('an elder');
  const request = { kind: 'outputs', after: 0, limit: 1 } as const;
  const answer = await node.requestFor(new Uint8Array(32), elder, request, 1_000);
  expect(answer).toMatchObject({ ok: true, value: { kind: 'outputs' } });
  expect(keys).toEqual([toHex(anchor.genesisKey), toHex(living.state.authority.key)]);
});

test('N31: a request twenty handovers late is refused once, and the rest is synced', async () => {
  world.bootstraps = [knowing(born)];
  const node = await start(1);
  const [elder] = (await node.section()).elders;
  if (elder === undefined) throw new Error('an elder');
  const living = after(20);
  let refused = 0;
  world.elder = () => (bytes) => {
    const request = decodeIncomingRequest(bytes);
    if (!request.ok || request.value.kind !== 'routed') return knowing(living)(bytes);
    if (toHex(request.value.key) === toHex(living.state.authority.key)) {
      return { kind: 'outputs', entries: [], next: 0, more: false };
    }
    refused += 1;
    const proof = encodeProof({ links: living.chain.slice(0, 16), authority: null });
    return { kind: 'refused', refusal: { kind: 'retry', proof } };
  };
  const request = { kind: 'outputs', after: 0, limit: 1 } as const;
  const answer = await node.requestFor(new Uint8Array(32), elder, request, 1_000);
  expect(answer).toMatchObject({ ok: true, value: { kind: 'outputs' } });
  expect(refused).toBe(1);
  expect(node.view().verifiedEpoch).toBe(20);
});

test('N30: after three refusals with a newer key three other elders are asked, then none', async () => {
  world.bootstraps = [knowing(born)];
  const node = await start(1);
  const [elder] = (await node.section()).elders;
  if (elder === undefined) throw new Error('an elder');
  const line = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((handovers) => after(handovers));
  const asked: string[] = [];
  // Each elder asked has handed over meanwhile, and proves it.
  world.elder = (name) => (bytes) => {
    const request = decodeIncomingRequest(bytes);
    if (!request.ok || request.value.kind !== 'routed') return null;
    const used = toHex(request.value.key);
    asked.push(name);
    const next = line[line.findIndex(({ state }) => toHex(state.authority.key) === used) + 1];
    if (next === undefined) throw new Error('the line is longer than any bound');
    return {
      kind: 'refused',
      refusal: { kind: 'retry', proof: encodeProof(sectionProofOf(sign(next, 1))) },
    };
  };
  const request = { kind: 'outputs', after: 0, limit: 1 } as const;
  const answer = await node.requestFor(new Uint8Array(32), elder, request, 1_000);
  expect(answer).toMatchObject({
    ok: false,
    error: { kind: 'refused', refusal: { kind: 'retry' } },
  });
  expect(asked).toHaveLength(1 + 3 + 3);
  expect(new Set(asked).size).toBe(asked.length);
  // Their proofs are kept: the next request starts there.
  expect(node.view().verifiedEpoch).toBe(7);
});

test('N30: a refusal without a newer proof ends the request and changes nothing', async () => {
  world.bootstraps = [knowing(after(1))];
  const node = await start(1);
  const [elder] = (await node.section()).elders;
  if (elder === undefined) throw new Error('an elder');
  const stranger = only(succeed(genesis('elsewhere', 2), 'k1').children);
  const { authority, signature, chain } = sign(after(2), 1);
  const forged = {
    links: chain,
    authority: { authority, signature: signature.map((byte) => byte ^ 1) },
  };
  const proofs = [
    sectionProofOf(sign(born)),
    sectionProofOf(sign(after(1))),
    sectionProofOf(sign(stranger)),
    forged,
  ];
  const request = { kind: 'outputs', after: 0, limit: 1 } as const;
  for (const proof of proofs) {
    let asked = 0;
    world.elder = () => () => {
      asked += 1;
      return { kind: 'refused', refusal: { kind: 'retry', proof: encodeProof(proof) } };
    };
    const answer = await node.requestFor(new Uint8Array(32), elder, request, 1_000);
    expect(answer).toMatchObject({ ok: false, error: { kind: 'refused' } });
    expect(asked).toBe(1);
    expect(node.view().verifiedEpoch).toBe(1);
  }
});

/** A section whose elders can all be dialled, behind one bootstrap node. */
const startWithElders = async () => {
  const { signed, anchor: of, identitySeeds } = makeSection(toySuite, toyScalars);
  const records = identitySeeds.map((seed) =>
    encodeAddressRecord(signAddressRecord(seed, of.networkId, 1n, ['/ip4/127.0.0.1/tcp/1'])),
  );
  world.bootstraps = [
    (bytes) => {
      const request = decodeIncomingRequest(bytes);
      return request.ok && request.value.kind === 'addresses'
        ? { kind: 'addresses', records }
        : { kind: 'authority', authority: encodeSignedAuthority(signed) };
    },
  ];
  const ids = { name: 'test', networkId: toHex(of.networkId), genesisKey: toHex(of.genesisKey) };
  const node = await startLightNode(
    { ...file(1), ...ids },
    () => 'automatic',
    () => undefined,
  );
  return { node, elders: (await node.section()).elders };
};
const anything = { kind: 'outputs', after: 0, limit: 1 } as const;

test('N29: with three of seven elders unresponsive the section is stalled, until one is back', async () => {
  const away = new Set<string>();
  world.elder = (name) =>
    away.has(name) ? () => null : () => ({ kind: 'outputs', entries: [], next: 0, more: false });
  const { node, elders } = await startWithElders();
  const askAll = async (): Promise<void> => {
    for (const elder of elders) await node.ask(elder, anything, 1_000);
  };
  const anywhere = new Uint8Array(32);
  expect(node.stall(anywhere)).toBeNull();
  await askAll();
  for (const { name } of elders.slice(0, 3)) away.add(nameToId(name));
  await askAll();
  // A single failed call may be our own connection.
  expect(node.stall(anywhere)).toBeNull();
  await askAll();
  expect(node.stall(anywhere)?.answering).toBe(4);
  expect(node.view().sections[0]?.stall).toEqual(node.stall(anywhere));
  // One more answer ends it.
  const [first] = elders;
  if (first === undefined) throw new Error('an elder');
  away.clear();
  await node.ask(first, anything, 1_000);
  expect(node.stall(anywhere)).toBeNull();
  expect(node.view().sections[0]?.stall).toBeNull();
});

test('N29: while a page watches, an unresponsive elder is asked again', async () => {
  const { node, elders } = await startWithElders();
  const gone = elders[6];
  if (gone === undefined) throw new Error('an elder');
  await node.ask(gone, anything, 1_000);
  const asked: string[] = [];
  world.elder = (name) => () => {
    asked.push(name);
    return null;
  };
  await node.checkForUpdates();
  expect(asked).toContain(nameToId(gone.name));
});

/** The app version was made at this state of the network. */
const ship = (living: TestSection, id = networkId): void => {
  const proof = toHex(encodeProof(sectionProofOf(sign(living))));
  shipped.file = { format: 1, networks: [{ networkId: id, proofs: [proof] }] };
};

test('N33: shipped checkpoints are pinned before any node is asked', async () => {
  ship(after(2));
  // The only bootstrap node knows the elders of an ended epoch and hides the others.
  world.bootstraps = [knowing(born)];
  const node = await start(1);
  expect((await node.section()).authority.epoch).toBe(2n);
  expect(node.view()).toMatchObject({ trust: 'verified', verifiedEpoch: 2, checkpointEpoch: 2 });
  world.bootstraps = [knowing(after(3))];
  await node.checkForUpdates();
  expect(node.view().verifiedEpoch).toBe(3);
});

test('N33: a branch that contradicts the checkpoints is refused and shown', async () => {
  ship(after(1));
  world.bootstraps = [knowing(after(1, 'fraud'))];
  const node = await start(1);
  expect(toHex((await node.section()).authority.key)).toBe(toHex(after(1).state.authority.key));
  expect(node.view()).toMatchObject({ trust: 'refused', fork: { epoch: 0, prefix: '()' } });
});

test('N33: a misled device is warned by the next version', async () => {
  world.bootstraps = [knowing(after(1, 'fraud'))];
  const before = await start(1);
  await before.section();
  expect(before.view()).toMatchObject({ trust: 'verified', checkpointEpoch: null });
  ship(after(1));
  const updated = await start(1);
  await updated.section();
  expect(updated.view().fork).toEqual({ epoch: 0, prefix: '()' });
});

test('N33: a checkpoint that does not follow from the genesis key stops the app', async () => {
  ship(only(succeed(genesis('elsewhere', 2), 'k1').children));
  world.bootstraps = [knowing(after(1))];
  const node = await start(1);
  await expect(node.section()).rejects.toThrow(/knows other keys than the ones/);
});

test('checkpoints alone do not replace an unreachable network', async () => {
  ship(after(2));
  world.bootstraps = [() => null, () => null];
  const node = await start(2);
  await expect(node.section()).rejects.toThrow(/does not answer/);
  // The next run still compares two: so far only the app itself has been a source.
  let asked = 0;
  const counting =
    (knows: Asked): Asked =>
    (bytes) => {
      asked += 1;
      return knows(bytes);
    };
  world.bootstraps = [counting(knowing(after(2))), counting(knowing(after(2)))];
  const again = await start(2);
  await again.section();
  expect(asked).toBe(4);
});

test('checkpoints of another network are ignored', async () => {
  ship(after(2), '0'.repeat(64));
  world.bootstraps = [knowing(born)];
  const node = await start(1);
  expect((await node.section()).authority.epoch).toBe(0n);
  expect(node.view().checkpointEpoch).toBeNull();
});

test('no bootstrap node decides alone: a busy one, or one without addresses, leaves it to the other', async () => {
  const seed = sha256(Uint8Array.of(7));
  const record = signAddressRecord(seed, anchor.networkId, 1n, ['/ip4/127.0.0.1/tcp/1']);
  const honest = knowing(after(1), [encodeAddressRecord(record)]);
  const busy: Asked = () => ({ kind: 'refused', refusal: { kind: 'busy', afterMs: 1 } });
  const hello: Asked = () => ({ kind: 'outputs', entries: [], next: 0, more: false });
  const noAddresses = knowing(after(1));
  for (const first of [busy, hello, noAddresses]) {
    disk.clear();
    world.bootstraps = [first, honest];
    const dialled: string[] = [];
    world.elder = (name) => (bytes) => {
      dialled.push(name);
      return knowing(after(20))(bytes);
    };
    const node = await start(2);
    expect((await node.section()).authority.epoch).toBe(1n);
    expect((disk.get(networkId) as { addresses: unknown[] }).addresses).toHaveLength(1);
  }
});

test('invalid replies do not count, however many there are', async () => {
  const record = signAddressRecord(sha256(Uint8Array.of(7)), anchor.networkId, 1n, [
    '/ip4/127.0.0.1/tcp/1',
  ]);
  const busy: Asked = () => ({ kind: 'refused', refusal: { kind: 'busy', afterMs: 1 } });
  const hello: Asked = () => ({ kind: 'outputs', entries: [], next: 0, more: false });
  world.bootstraps = [busy, hello, knowing(after(1), [encodeAddressRecord(record)])];
  const node = await start(3);
  expect((await node.section()).authority.epoch).toBe(1n);
  expect((disk.get(networkId) as { addresses: unknown[] }).addresses).toHaveLength(1);
});

test("no single bootstrap node chooses the elders for a new device's chain sync", async () => {
  const living = after(40);
  const recordsOf = (from: number) =>
    Array.from({ length: 16 }, (_, n) =>
      encodeAddressRecord(
        signAddressRecord(sha256(Uint8Array.of(from, n)), anchor.networkId, 1n, [
          '/ip4/127.0.0.1/tcp/1',
        ]),
      ),
    );
  const honest = new Set(
    Array.from({ length: 16 }, (_, n) => nameToId(ed25519PublicKey(sha256(Uint8Array.of(2, n))))),
  );
  // The first one names nodes that send only the genesis state, or nothing.
  world.bootstraps = [knowing(born, recordsOf(1)), knowing(living, recordsOf(2))];
  world.elder = (name) => (honest.has(name) ? knowing(living) : knowing(born));
  const node = await start(2);
  expect((await node.section()).authority.epoch).toBe(40n);
});

test("one elder cannot fill the worker's memory with records of other nodes", async () => {
  const { node, elders } = await startWithElders();
  const { networkId: of } = elders[0] === undefined ? anchor : await node.section();
  let made = 0;
  world.elder = () => () => ({
    kind: 'proof',
    proof: new Uint8Array(3),
    records: Array.from({ length: 16 }, () =>
      encodeAddressRecord(
        signAddressRecord(sha256(Uint8Array.of(made >> 8, made++ & 255)), of, 1n, [
          '/ip4/10.0.0.1/tcp/1',
        ]),
      ),
    ),
  });
  const [elder] = elders;
  if (elder === undefined) throw new Error('an elder');
  for (let n = 0; n < 5; n++) await node.catchUp(elder, new Uint8Array(32), 1_000);
  await node.checkForUpdates();
  const kept = [...disk.values()][0] as { addresses: unknown[] };
  expect(made).toBeGreaterThanOrEqual(80);
  expect(kept.addresses.length).toBeLessThanOrEqual(7 + 32);
  // Records of elders stay.
  expect((await node.section()).elders.every(({ addresses }) => addresses.length === 1)).toBe(true);
});

test('with a full disk the first call is answered all the same', async () => {
  disk.set('full', true);
  world.bootstraps = [knowing(after(2))];
  const node = await start(1);
  expect((await node.section()).authority.epoch).toBe(2n);
});
