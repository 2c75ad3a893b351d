/**
 * Goal: a bootstrap node knows the current keys after any number of handovers, splits and restarts, even
 * if some nodes are unresponsive or lie, and shows clients the key path page by page (N30, N31).
 * Method: nodes of a toy network that answer as the product does.
 */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { concat, toHex, utf8, Writer } from '#core/codec/bytes.ts';
import { err, ok } from '#core/result.ts';
import { ed25519PublicKey, signEd25519 } from '#crypto/ed25519.ts';
import { sha256 } from '#crypto/hash.ts';
import type { NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import { createAddressBook } from '#node/peers/address-book.ts';
import {
  openBootstrapService,
  servePeerExchange,
  type BootstrapService,
} from '#node/requests/bootstrap-service.ts';
import {
  createAdmissionControl,
  maxPerOutsider,
  maxPerPeer,
} from '#node/requests/admission-control.ts';
import type { LogLine } from '#node/monitoring/log.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import type { NodeIdentity } from '#node/data-folder/node-identity.ts';
import { decodeProof, encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  charterHash,
  charterOf,
  createTree,
  learn,
  sectionProofOf,
  sectionsOf,
  trustedUpdate,
  verifySignedAuthority,
  type Fork,
  type SectionTree,
} from '#protocol/section/index.ts';
import { encodeTrustStore } from '#roles/light-client/stored-sections.ts';
import { performSectionNodeJob } from '#roles/section-node/jobs.ts';
import {
  decodeClientReply,
  decodeIncomingRequest,
  encodeClientReply,
  encodeClientRequest,
  encodeRoutingRequest,
} from '#roles/wire/client.ts';
import { decodeNodeReply, encodeNodeRequest } from '#roles/wire/node-requests.ts';
import { proofFor } from '#roles/wire/routed.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { syncChain } from '#runtime/sync-chain.ts';
import { toySuite } from '../../../sim/toys/toy-suite.ts';
import { checked, keyOf, knowing, lineFrom } from '../../anti-entropy/support.ts';
import { both, genesis, grow, sign, succeed, type TestSection } from '../../section/network.ts';
import { silentLog } from '../../../support/silent-log.ts';

const firstState = genesis('follow', 4);
const { anchor } = firstState;
const line = lineFrom(firstState, 40, 'f');
const last = line[40] ?? firstState;
const jobs = {
  run: async (_kind: string, job: never) =>
    performSectionNodeJob(job, { threshold: toySuite } as never) as never,
} as unknown as Pick<JobPool, 'run'>;

type Node = (bytes: Uint8Array) => Uint8Array | null;
/** Answers chain pages from its view, its own section first. */
const nodeOf =
  (own: TestSection, ...others: readonly TestSection[]): Node =>
  (bytes) => {
    const view = { tree: knowing(anchor, own, ...others), own: sign(own, 0) };
    const request = decodeIncomingRequest(bytes);
    if (!request.ok || request.value.kind !== 'section') return null;
    const { proof } = proofFor(view, request.value.name, request.value.from);
    return encodeClientReply({ kind: 'proof', proof, records: [] });
  };
const unresponsiveNode: Node = () => null;

const seed = sha256(utf8('bootstrap'));
const name = ed25519PublicKey(seed);
let logged: LogLine[];
let folder: string;
let services: BootstrapService[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-guide-'));
  services = [];
  logged = [];
});
afterEach(() => {
  for (const guide of services) guide.stop();
  rmSync(folder, { recursive: true });
});

/** A host that keeps the given handlers. */
const served = () => {
  const handlers = new Map<string, Parameters<NodeHost['serve']>[2]>();
  let isMember: ((name: Uint8Array) => boolean) | null = null;
  const host: Pick<NodeHost, 'setMembership' | 'serve'> = {
    setMembership: (members) => {
      isMember = members;
    },
    serve: async (kind, tag, handler) => void handlers.set(`${kind} ${tag}`, handler),
  };
  return { host, handlers, isMember: (name: Uint8Array) => isMember?.(name) };
};

async function start(answers: (id: string, asked: number) => Node, { host } = served()) {
  let asked = 0;
  const metrics = createMetrics();
  const guide = await openBootstrapService({
    identity: { folder, label: 'bootstrap', seed, name } as unknown as NodeIdentity,
    host,
    anchor,
    firstState: sign(firstState),
    book: createAddressBook(anchor.networkId, null),
    jobs,
    request: async (node, bytes) => {
      const answer = answers(nameToId(node), asked++)(bytes);
      return answer === null ? err('away') : ok(answer);
    },
    log: { ...silentLog, write: (line) => logged.push(line) },
    ...{ metrics, admission: createAdmissionControl(metrics) },
    refreshEveryMs: 1_000_000,
  });
  services.push(guide);
  return guide;
}
const keyIn = (guide: BootstrapService): string => toHex(guide.sections.signed().authority.key);

test.each([1, 16, 17, 40])(
  'after %i handovers one update finds the current key',
  async (handovers) => {
    const now = line[handovers] ?? firstState;
    const guide = await start(() => nodeOf(now));
    await guide.sections.refresh();
    expect(keyIn(guide)).toBe(toHex(keyOf(now)));
    expect(guide.sections.elders().map(nameToId)).toEqual(
      now.state.authority.elders.map(({ name }) => nameToId(name)),
    );
  },
);

test('it follows while the network changes, by generation under one key and by key', async () => {
  let now: TestSection = firstState;
  const guide = await start(() => nodeOf(now));
  for (const next of [
    grow(firstState),
    line[1] ?? firstState,
    line[20] ?? firstState,
    grow(line[20] ?? firstState),
    last,
  ]) {
    now = next;
    await guide.sections.refresh();
    const { epoch, generation } = guide.sections.signed().authority;
    expect([epoch, generation]).toEqual([
      next.state.authority.epoch,
      next.state.authority.generation,
    ]);
  }
});

test('a client with only the genesis key reads the whole key path', async () => {
  const world = served();
  const guide = await start(() => nodeOf(last), world);
  await guide.sections.refresh();
  const handle = world.handlers.get(`client ${networkTag(anchor.networkId)}`);
  const ask = async (bytes: Uint8Array) => {
    const reply = decodeClientReply(
      (await handle?.(bytes, {
        ...{ peerId: 'client', name: null, address: null },
        reportInvalid: () => undefined,
      })) ?? new Uint8Array(),
    );
    if (!reply.ok) throw new Error('a reply');
    return reply.value;
  };
  let tree = createTree(anchor);
  const home = anchor.genesisKey.slice(0, 32);
  await syncChain(
    () => tree,
    home,
    async (from) => {
      const reply = await ask(encodeRoutingRequest({ kind: 'section', name: home, from }));
      const page = reply.kind === 'proof' ? decodeProof(reply.proof) : undefined;
      const next = page?.ok === true ? checked(tree, page.value) : undefined;
      if (page?.ok !== true || next === undefined) return null;
      tree = next;
      return page.value;
    },
  );
  expect(sectionsOf(tree).map(({ key }) => toHex(key))).toEqual([toHex(keyOf(last))]);
  // One answer contains the newest link, or the whole key path within a page.
  expect(await ask(encodeClientRequest({ kind: 'authority' }))).toMatchObject({
    kind: 'authority',
  });
  rmSync(join(folder, 'sections'));
  const near = await start(() => nodeOf(line[16] ?? firstState));
  await near.sections.refresh();
  expect(verifySignedAuthority(toySuite, anchor, near.sections.signed()).ok).toBe(true);
});

test('both halves of a split are found, and asked in turn', async () => {
  const [zero, one] = both(succeed(last, 'zero', 'one').children);
  const [later] = succeed(one, 'one later').children;
  if (later === undefined) throw new Error('a child');
  let now: Node = nodeOf(zero, one);
  const guide = await start(() => now);
  for (let n = 0; n < 4; n++) await guide.sections.refresh();
  now = nodeOf(later, zero);
  for (let n = 0; n < 4; n++) await guide.sections.refresh();
  const keys = sectionsOf(guide.sections.tree()).map(({ key }) => toHex(key));
  expect(keys).toEqual([zero, later].map((each) => toHex(keyOf(each))));
  expect(guide.sections.elders()).toHaveLength(14);
});

test('unresponsive, lying or outdated nodes delay nothing: the next one is asked in the same update', async () => {
  const stranger = lineFrom(genesis('elsewhere', 4), 3, 'e')[3] ?? firstState;
  const noise: Node = () =>
    encodeClientReply({ kind: 'proof', proof: new Uint8Array(9), records: [] });
  const forged: Node = () => {
    const { authority, signature, chain } = sign(line[1] ?? firstState);
    const links = chain.map((link) => ({ ...link, signature: new Uint8Array(48) }));
    const proof = encodeProof({ links, authority: { authority, signature } });
    return encodeClientReply({ kind: 'proof', proof, records: [] });
  };
  for (const bad of [unresponsiveNode, noise, forged, nodeOf(stranger), nodeOf(firstState)]) {
    const guide = await start((_id, asked) => (asked < 2 ? bad : nodeOf(last)));
    await guide.sections.refresh();
    expect(keyIn(guide)).toBe(toHex(keyOf(last)));
    rmSync(join(folder, 'sections'));
  }
});

test('if all elders are gone, other members of the book are asked', async () => {
  const elders = new Set(firstState.state.authority.elders.map(({ name }) => nameToId(name)));
  const guide = await start((id) => (elders.has(id) ? unresponsiveNode : nodeOf(last)));
  for (let n = 0; n < 3; n++) await guide.sections.refresh();
  expect(keyIn(guide)).toBe(toHex(keyOf(last)));
});

test('verified states are stored, and verified again at the next start', async () => {
  const guide = await start(() => nodeOf(last));
  await guide.sections.refresh();
  const again = await start(() => unresponsiveNode);
  expect(keyIn(again)).toBe(toHex(keyOf(last)));
  writeFileSync(join(folder, 'sections'), 'no sections');
  const damaged = await start(() => nodeOf(last));
  expect(keyIn(damaged)).toBe(toHex(anchor.genesisKey));
  await damaged.sections.refresh();
  expect(keyIn(damaged)).toBe(toHex(keyOf(last)));
});

/** A tree that trusts a key besides the genesis key, like one whose key path was dropped. */
function orphaned(living: TestSection): SectionTree {
  const { key, epoch, prefix } = living.state.authority;
  const charter = charterHash(charterOf(living.state.authority));
  const tree = createTree(anchor, [{ key, epoch, prefix, charterHash: charter }]);
  return learn(tree, trustedUpdate({ ...sectionProofOf(sign(living, 0)), links: [] })).tree;
}
const sectionsPath = (): string => join(folder, 'sections');
/** As version 0.1 wrote it: without the node's signature. */
const unsigned = (tree: SectionTree, fork: Fork | null = null): Uint8Array =>
  encodeTrustStore({ tree, fork });
const signedBy = (from: Uint8Array, pins: Uint8Array): Uint8Array => {
  const layout = new Writer()
    .label('safe/v1/kept-sections')
    .fixed(anchor.networkId, 32)
    .sized(pins);
  return concat(Uint8Array.of(3), signEd25519(from, layout.finish()), pins);
};

test('without a signature a stored file proves only what its links prove from the genesis key', async () => {
  writeFileSync(sectionsPath(), unsigned(knowing(anchor, last)));
  expect(keyIn(await start(() => unresponsiveNode))).toBe(toHex(keyOf(last)));
});

test('a file with a key that no chain leads to is ignored, whatever key signed its state', async () => {
  const { state, secret } = genesis('invented', 4);
  const { networkId } = anchor;
  // A section of this network's name, of an epoch that is not over, with a secret its inventor knows.
  const authority = { ...state.authority, networkId, epoch: 99n };
  const invented: TestSection = { state: { ...state, authority }, secret, chain: [] };
  const forged = orphaned(invented);
  expect(sectionsOf(forged).map(({ key }) => toHex(key))).toEqual([toHex(keyOf(invented))]);
  const another = sha256(utf8('another node'));
  for (const file of [unsigned(forged), signedBy(another, unsigned(forged))]) {
    writeFileSync(sectionsPath(), file);
    const guide = await start(() => nodeOf(last));
    expect(keyIn(guide)).toBe(toHex(anchor.genesisKey));
    expect(toHex(guide.sections.signed().authority.key)).not.toBe(toHex(keyOf(invented)));
    await guide.sections.refresh();
    expect(keyIn(guide)).toBe(toHex(keyOf(last)));
  }
});

test('a file with a link or state that its key did not sign is ignored', async () => {
  const tree = knowing(anchor, last);
  const keys = new Map(tree.keys);
  const [first] = last.chain;
  if (first === undefined) throw new Error('a chain');
  const parent = keys.get(toHex(first.record.parentKey));
  if (parent === undefined) throw new Error('the first key');
  keys.set(toHex(parent.key), {
    ...parent,
    successor: { ...first, signature: new Uint8Array(48).fill(7) },
  });
  const [[prefix, state] = []] = tree.sections;
  if (prefix === undefined || state === undefined) throw new Error('a section');
  const sections = new Map([[prefix, { ...state, signature: new Uint8Array(48).fill(7) }]]);
  for (const forged of [
    { ...tree, keys },
    { ...tree, sections },
  ]) {
    writeFileSync(sectionsPath(), unsigned(forged));
    expect(keyIn(await start(() => unresponsiveNode))).toBe(toHex(anchor.genesisKey));
  }
});

test('a key whose path was dropped is still known after a restart of the node that verified it', async () => {
  writeFileSync(sectionsPath(), signedBy(seed, unsigned(orphaned(last))));
  expect(keyIn(await start(() => unresponsiveNode))).toBe(toHex(keyOf(last)));
});

test('two successors of one key are reported, also after a restart and further updates', async () => {
  const [honest, other] = ['honest', 'other'].map((word) => succeed(last, word));
  const [next] = honest?.children ?? [];
  const [second] = other?.children ?? [];
  if (next === undefined || second === undefined) throw new Error('two heirs');
  let now = nodeOf(next);
  const guide = await start(() => now);
  await guide.sections.refresh();
  expect(guide.sections.fork()).toBeNull();
  // A node that knows only the other one shows its own key path.
  now = pageOf(second);
  await guide.sections.refresh();
  expect(guide.sections.fork()).toEqual({ first: honest?.link, second: other?.link });
  expect(keyIn(guide)).toBe(toHex(keyOf(next)));
  // Shown again, it is neither written nor reported a second time.
  const written = statSync(sectionsPath()).mtimeMs;
  for (let n = 0; n < 3; n++) await guide.sections.refresh();
  expect(statSync(sectionsPath()).mtimeMs).toBe(written);
  now = nodeOf(grow(next));
  await guide.sections.refresh();
  logged = [];
  const again = await start(() => unresponsiveNode);
  expect(again.sections.fork()).toEqual({ first: honest?.link, second: other?.link });
  expect(logged.map(({ event }) => event)).toContain('forked');
  // An unsigned fork does not count.
  const invented = { first: last.chain[0], second: last.chain[1] } as Fork;
  writeFileSync(sectionsPath(), unsigned(knowing(anchor, last), invented));
  expect((await start(() => unresponsiveNode)).sections.fork()).toBeNull();
});

/** Answers every request with the last link and the state. */
const pageOf =
  (living: TestSection): Node =>
  () => {
    const { authority, signature } = sign(living, 0);
    const links = living.chain.slice(-1);
    const proof = encodeProof({ links, authority: { authority, signature } });
    return encodeClientReply({ kind: 'proof', proof, records: [] });
  };

test('a disk error stops nothing', async () => {
  const guide = await start(() => nodeOf(last));
  rmSync(folder, { recursive: true });
  await guide.sections.refresh();
  expect(keyIn(guide)).toBe(toHex(keyOf(last)));
  writeFileSync(folder, '');
});

test('its host knows the members of the followed sections, and only those wait in the members’ lane', async () => {
  const now = line[3] ?? firstState;
  const seen = served();
  const guide = await start(() => nodeOf(now), seen);
  const [stranger, member] = [new Uint8Array(32).fill(9), now.state.authority.members[0]?.name];
  if (member === undefined) throw new Error('a section has members');
  await guide.sections.refresh();
  expect([seen.isMember(member), seen.isMember(stranger)]).toEqual([true, false]);
  expect(seen.handlers.has(`client ${networkTag(anchor.networkId)}`)).toBe(true);

  const answer = vi.fn(() => ({ kind: 'addresses', records: [] }) as const);
  const metrics = createMetrics();
  const gate = createAdmissionControl(metrics);
  await servePeerExchange(seen.host, 'tag', gate, guide.laneOf, { answer });
  const greet = encodeNodeRequest({ kind: 'exchangeAddresses', records: [], wanted: [] });
  const greetings = async (name: Uint8Array): Promise<number> => {
    const from = { peerId: nameToId(name), name, address: null, reportInvalid: () => undefined };
    const replies = await Promise.all(
      Array.from({ length: 40 }, () => seen.handlers.get('section tag')?.(greet, from)),
    );
    return replies.filter((bytes) => {
      const reply = decodeNodeReply(bytes ?? new Uint8Array());
      return reply.ok && reply.value.kind === 'addresses';
    }).length;
  };
  expect(await greetings(stranger)).toBe(maxPerOutsider);
  expect(await greetings(member)).toBe(maxPerPeer);
  metrics.stop();
});

test('the member set is not rebuilt for each refused connection', async () => {
  const seen = served();
  const guide = await start(() => unresponsiveNode, seen);
  const stranger = new Uint8Array(32).fill(9);
  seen.isMember(stranger);
  const members = vi.spyOn(guide.sections.signed().authority.members, 'map');
  for (let n = 0; n < 100; n++) seen.isMember(stranger);
  expect(members).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});
