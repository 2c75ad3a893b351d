/**
 * Goal: a bootstrap node knows who speaks now after any number of handovers, splits and restarts,
 * whoever of those it asks is silent or lies, and shows clients the way page by page (N30, N31).
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
import { createAddressBook } from '#node/address-book.ts';
import { openBootstrapGuide, serveGreetings, type BootstrapGuide } from '#node/bootstrap-guide.ts';
import { createGate, maxPerOutsider, maxPerPeer } from '#node/gate.ts';
import { silentLog, type LogLine } from '#node/log.ts';
import { createMetrics } from '#node/metrics.ts';
import type { NodeIdentity } from '#node/node-folder.ts';
import { decodeProof, encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  charterHash,
  charterOf,
  emptyTree,
  learn,
  proofOf,
  sectionsOf,
  storedUpdate,
  verifySignedAuthority,
  type Fork,
  type SectionTree,
} from '#protocol/section/index.ts';
import { encodePins } from '#roles/light-client/pins.ts';
import { performSectionNodeJob } from '#roles/section-node/jobs.ts';
import {
  decodeClientReply,
  decodeDoorRequest,
  encodeClientReply,
  encodeClientRequest,
  encodeCover,
} from '#roles/wire/client.ts';
import { decodeNodeReply, encodeNodeRequest } from '#roles/wire/node.ts';
import { proofFor } from '#roles/wire/under.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { readPages } from '#runtime/read-pages.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import { checked, keyOf, knowing, lineFrom } from '../anti-entropy/support.ts';
import { both, genesis, grow, sign, succeed, type Living } from '../section/network.ts';

const born = genesis('follow', 4);
const { anchor } = born;
const line = lineFrom(born, 40, 'f');
const last = line[40] ?? born;
const jobs = {
  run: async (_kind: string, job: never) =>
    performSectionNodeJob(job, { threshold: toySuite } as never) as never,
} as unknown as Pick<JobPool, 'run'>;

type Node = (bytes: Uint8Array) => Uint8Array | null;
/** Answers pages of what it knows, of its own section first. */
const nodeOf =
  (own: Living, ...others: readonly Living[]): Node =>
  (bytes) => {
    const view = { tree: knowing(anchor, own, ...others), own: sign(own, 0) };
    const request = decodeDoorRequest(bytes);
    if (!request.ok || request.value.kind !== 'section') return null;
    const { proof } = proofFor(view, request.value.name, request.value.from);
    return encodeClientReply({ kind: 'proof', proof, records: [] });
  };
const silent: Node = () => null;

const seed = sha256(utf8('bootstrap'));
const name = ed25519PublicKey(seed);
let logged: LogLine[];
let folder: string;
let guides: BootstrapGuide[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-guide-'));
  guides = [];
  logged = [];
});
afterEach(() => {
  for (const guide of guides) guide.stop();
  rmSync(folder, { recursive: true });
});

/** A host that keeps what it is given. */
const served = () => {
  const handlers = new Map<string, Parameters<NodeHost['serve']>[2]>();
  let isMember: ((name: Uint8Array) => boolean) | null = null;
  const host: Pick<NodeHost, 'know' | 'serve'> = {
    know: (members) => {
      isMember = members;
    },
    serve: async (kind, tag, handler) => void handlers.set(`${kind} ${tag}`, handler),
  };
  return { host, handlers, isMember: (name: Uint8Array) => isMember?.(name) };
};

async function start(answers: (id: string, asked: number) => Node, { host } = served()) {
  let asked = 0;
  const guide = await openBootstrapGuide({
    identity: { folder, label: 'bootstrap', seed, name } as unknown as NodeIdentity,
    host,
    anchor,
    born: sign(born),
    book: createAddressBook(anchor.networkId, null),
    jobs,
    request: async (node, bytes) => {
      const answer = answers(nameToId(node), asked++)(bytes);
      return answer === null ? err('away') : ok(answer);
    },
    log: { ...silentLog, write: (line) => logged.push(line) },
    metrics: createMetrics(),
    refreshEveryMs: 1_000_000,
  });
  guides.push(guide);
  return guide;
}
const keyIn = (guide: BootstrapGuide): string => toHex(guide.sections.signed().authority.key);

test.each([1, 16, 17, 40])('after %i handovers a look finds who speaks now', async (handovers) => {
  const now = line[handovers] ?? born;
  const guide = await start(() => nodeOf(now));
  await guide.sections.refresh();
  expect(keyIn(guide)).toBe(toHex(keyOf(now)));
  expect(guide.sections.elders().map(nameToId)).toEqual(
    now.state.authority.elders.map(({ name }) => nameToId(name)),
  );
});

test('it follows while the network goes on, by generation under one key as by key', async () => {
  let now: Living = born;
  const guide = await start(() => nodeOf(now));
  for (const next of [
    grow(born),
    line[1] ?? born,
    line[20] ?? born,
    grow(line[20] ?? born),
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

test('a client without a key but the first one reads the whole way from it', async () => {
  const guide = await start(() => nodeOf(last));
  await guide.sections.refresh();
  const ask = async (bytes: Uint8Array) => {
    const reply = decodeClientReply(
      await guide.service.handle(bytes, {
        peerId: 'client',
        address: null,
        invalid: () => undefined,
      }),
    );
    if (!reply.ok) throw new Error('a reply');
    return reply.value;
  };
  let tree = emptyTree(anchor);
  const home = anchor.genesisKey.slice(0, 32);
  await readPages(
    () => tree,
    home,
    async (from) => {
      const reply = await ask(encodeCover({ kind: 'section', name: home, from }));
      const page = reply.kind === 'proof' ? decodeProof(reply.proof) : undefined;
      const next = page?.ok === true ? checked(tree, page.value) : undefined;
      if (page?.ok !== true || next === undefined) return null;
      tree = next;
      return page.value;
    },
  );
  expect(sectionsOf(tree).map(({ key }) => toHex(key))).toEqual([toHex(keyOf(last))]);
  // What it tells in one answer is the newest link; within a page it is the whole way.
  expect(await ask(encodeClientRequest({ kind: 'authority' }))).toMatchObject({
    kind: 'authority',
  });
  rmSync(join(folder, 'sections'));
  const near = await start(() => nodeOf(line[16] ?? born));
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

test('who is silent, lies or stands still delays nothing: the next one is asked in the same look', async () => {
  const stranger = lineFrom(genesis('elsewhere', 4), 3, 'e')[3] ?? born;
  const noise: Node = () =>
    encodeClientReply({ kind: 'proof', proof: new Uint8Array(9), records: [] });
  const forged: Node = () => {
    const { authority, signature, chain } = sign(line[1] ?? born);
    const links = chain.map((link) => ({ ...link, signature: new Uint8Array(48) }));
    const proof = encodeProof({ links, authority: { authority, signature } });
    return encodeClientReply({ kind: 'proof', proof, records: [] });
  };
  for (const bad of [silent, noise, forged, nodeOf(stranger), nodeOf(born)]) {
    const guide = await start((_id, asked) => (asked < 2 ? bad : nodeOf(last)));
    await guide.sections.refresh();
    expect(keyIn(guide)).toBe(toHex(keyOf(last)));
    rmSync(join(folder, 'sections'));
  }
});

test('elders that are all gone are no end: other members of the book are asked', async () => {
  const elders = new Set(born.state.authority.elders.map(({ name }) => nameToId(name)));
  const guide = await start((id) => (elders.has(id) ? silent : nodeOf(last)));
  for (let n = 0; n < 3; n++) await guide.sections.refresh();
  expect(keyIn(guide)).toBe(toHex(keyOf(last)));
});

test('what was verified is kept, and verified again at the next start', async () => {
  const guide = await start(() => nodeOf(last));
  await guide.sections.refresh();
  const again = await start(() => silent);
  expect(keyIn(again)).toBe(toHex(keyOf(last)));
  writeFileSync(join(folder, 'sections'), 'no sections');
  const damaged = await start(() => nodeOf(last));
  expect(keyIn(damaged)).toBe(toHex(anchor.genesisKey));
  await damaged.sections.refresh();
  expect(keyIn(damaged)).toBe(toHex(keyOf(last)));
});

/** A tree in which a key is trusted beside the genesis key, as one whose way was forgotten. */
function orphaned(living: Living): SectionTree {
  const { key, epoch, prefix } = living.state.authority;
  const charter = charterHash(charterOf(living.state.authority));
  const tree = emptyTree(anchor, [{ key, epoch, prefix, charterHash: charter }]);
  return learn(tree, storedUpdate({ ...proofOf(sign(living, 0)), links: [] })).tree;
}
const sectionsPath = (): string => join(folder, 'sections');
/** As version 0.1 wrote it: without a signature of the node. */
const unsigned = (tree: SectionTree, fork: Fork | null = null): Uint8Array =>
  encodePins({ tree, fork });
const signedBy = (from: Uint8Array, pins: Uint8Array): Uint8Array => {
  const layout = new Writer()
    .label('safe/v1/kept-sections')
    .fixed(anchor.networkId, 32)
    .sized(pins);
  return concat(Uint8Array.of(3), signEd25519(from, layout.finish()), pins);
};

test('a kept file without a signature is worth what its links prove from the genesis key', async () => {
  writeFileSync(sectionsPath(), unsigned(knowing(anchor, last)));
  expect(keyIn(await start(() => silent))).toBe(toHex(keyOf(last)));
});

test('a file with a key that nothing leads to counts for nothing, whoever signed its state', async () => {
  const { state, secret } = genesis('invented', 4);
  const { networkId } = anchor;
  // A section of this network's name, of an epoch that is not over, whose secret its inventor has.
  const authority = { ...state.authority, networkId, epoch: 99n };
  const invented: Living = { state: { ...state, authority }, secret, chain: [] };
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

test('a file with a link, or a state, that its key did not sign counts for nothing', async () => {
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
    expect(keyIn(await start(() => silent))).toBe(toHex(anchor.genesisKey));
  }
});

test('a key whose way was forgotten is still known after a restart of the node that had verified it', async () => {
  writeFileSync(sectionsPath(), signedBy(seed, unsigned(orphaned(last))));
  expect(keyIn(await start(() => silent))).toBe(toHex(keyOf(last)));
});

test('two successors of one key are reported, and still are after a restart and more news', async () => {
  const [honest, other] = ['honest', 'other'].map((word) => succeed(last, word));
  const [next] = honest?.children ?? [];
  const [second] = other?.children ?? [];
  if (next === undefined || second === undefined) throw new Error('two heirs');
  let now = nodeOf(next);
  const guide = await start(() => now);
  await guide.sections.refresh();
  expect(guide.sections.fork()).toBeNull();
  // Who knows the other one alone tells its own way.
  now = pageOf(second);
  await guide.sections.refresh();
  expect(guide.sections.fork()).toEqual({ first: honest?.link, second: other?.link });
  expect(keyIn(guide)).toBe(toHex(keyOf(next)));
  // Shown once more, it is written down and reported no second time.
  const written = statSync(sectionsPath()).mtimeMs;
  for (let n = 0; n < 3; n++) await guide.sections.refresh();
  expect(statSync(sectionsPath()).mtimeMs).toBe(written);
  now = nodeOf(grow(next));
  await guide.sections.refresh();
  logged = [];
  const again = await start(() => silent);
  expect(again.sections.fork()).toEqual({ first: honest?.link, second: other?.link });
  expect(logged.map(({ event }) => event)).toContain('forked');
  // A fork that nobody signed is none.
  const invented = { first: last.chain[0], second: last.chain[1] } as Fork;
  writeFileSync(sectionsPath(), unsigned(knowing(anchor, last), invented));
  expect((await start(() => silent)).sections.fork()).toBeNull();
});

/** Answers with the last link and the state, whatever was asked for. */
const pageOf =
  (living: Living): Node =>
  () => {
    const { authority, signature } = sign(living, 0);
    const links = living.chain.slice(-1);
    const proof = encodeProof({ links, authority: { authority, signature } });
    return encodeClientReply({ kind: 'proof', proof, records: [] });
  };

test('a disk that refuses ends nothing', async () => {
  const guide = await start(() => nodeOf(last));
  rmSync(folder, { recursive: true });
  await guide.sections.refresh();
  expect(keyIn(guide)).toBe(toHex(keyOf(last)));
  writeFileSync(folder, '');
});

test('its host knows the members of the sections it follows, and those alone wait in the lane of members', async () => {
  const now = line[3] ?? born;
  const seen = served();
  const guide = await start(() => nodeOf(now), seen);
  const [stranger, member] = [new Uint8Array(32).fill(9), now.state.authority.members[0]?.name];
  if (member === undefined) throw new Error('a section has members');
  await guide.sections.refresh();
  expect([seen.isMember(member), seen.isMember(stranger)]).toEqual([true, false]);
  expect(seen.handlers.has(`client ${networkTag(anchor.networkId)}`)).toBe(true);

  const answer = vi.fn(() => ({ kind: 'known', records: [] }) as const);
  const metrics = createMetrics();
  const gate = createGate(metrics);
  await serveGreetings(seen.host, 'tag', gate, guide.laneOf, { answer });
  const greet = encodeNodeRequest({ kind: 'greet', records: [], wanted: [] });
  const greetings = async (name: Uint8Array): Promise<number> => {
    const from = { peerId: nameToId(name), name, address: null, invalid: () => undefined };
    const replies = await Promise.all(
      Array.from({ length: 40 }, () => seen.handlers.get('section tag')?.(greet, from)),
    );
    return replies.filter((bytes) => {
      const reply = decodeNodeReply(bytes ?? new Uint8Array());
      return reply.ok && reply.value.kind === 'known';
    }).length;
  };
  expect(await greetings(stranger)).toBe(maxPerOutsider);
  expect(await greetings(member)).toBe(maxPerPeer);
  metrics.stop();
});

test('who is a member is not gathered anew for each connection that is refused', async () => {
  const seen = served();
  const guide = await start(() => silent, seen);
  const stranger = new Uint8Array(32).fill(9);
  seen.isMember(stranger);
  const members = vi.spyOn(guide.sections.signed().authority.members, 'map');
  for (let n = 0; n < 100; n++) seen.isMember(stranger);
  expect(members).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});
