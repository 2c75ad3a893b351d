/**
 * Checks what `startNode` connects: events enter by the host's handlers and by the callbacks of a stub
 * section, and each must have its effect at the other end.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMPTY_PREFIX, parsePrefix, showPrefix, type Prefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { err, ok } from '#core/result.ts';
import type { NodeHost, Remote } from '#network/node-host.ts';
import { openIdentity } from '#node/data-folder/node-identity.ts';
import { MachineFailure } from '#node/machine-failure.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import { openNodeFacts, startNode, type NodeOptions } from '#node/node.ts';
import { createAddressBook } from '#node/peers/address-book.ts';
import type { NodeStanding, SectionCallbacks } from '#node/section/section-handle.ts';
import { stateRefOf } from '#protocol/replication/index.ts';
import {
  encodeAddressRecord,
  encodeSignedAuthority,
  sectionProofOf,
  signAddressRecord,
  trustedUpdate,
  type SignedAuthority,
} from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest } from '#roles/wire/client.ts';
import { decodeNodeReply, encodeNodeRequest, type NodeRequest } from '#roles/wire/node-requests.ts';
import { sha256 } from '#crypto/hash.ts';
import { nameOf, networkId, sectionOf, seedOf } from '../../service-worker/plain-section.ts';
import {
  brokenConnections,
  pause,
  within,
  type Connections,
} from '../../../support/connections.ts';

const self = 30;
const stranger = nameOf(90);
const elder = nameOf(1);
const signedOf = (section: ReturnType<typeof sectionOf>): SignedAuthority => ({
  authority: section.authority,
  signature: new Uint8Array(48),
  chain: [],
});
const prefixOf = (bits: string): Prefix => parsePrefix(bits) as Prefix;

interface World {
  readonly folder: string;
  /** What left the node, or reached its section: one line each. */
  readonly seen: string[];
  readonly node: Awaited<ReturnType<typeof startNode>>;
  readonly section: SectionCallbacks;
  /** From now on the replication's facts are refused. */
  readonly fillDisk: () => void;
  readonly isMember: (name: Uint8Array) => boolean;
  readonly metrics: ReturnType<typeof createMetrics>;
  readonly deliver: (
    protocol: 'client' | 'data' | 'section',
    bytes: Uint8Array,
    from?: Uint8Array,
  ) => Promise<Uint8Array>;
}

/** @returns the connections that are missing or wrong. */
export async function wiringFaults(): Promise<readonly string[]> {
  const world = await startWorld();
  try {
    return await brokenConnections(connections, world);
  } finally {
    world.metrics.stop();
    rmSync(world.folder, { recursive: true });
  }
}

/** The first ones put the node into its section, the last one stops it. */
const connections: Connections<World> = {
  'a state of the section → the node’s role': async ({ node, section, seen }) => {
    section.onAdopted(standingOf('adult'));
    await within(() => seen.includes('standing adult'));
    return node.role() === 'adult' && node.signed()?.authority === own.authority;
  },
  'the first standing → settled': ({ node }) =>
    Promise.race([node.settled.then(() => true), pause(1_000).then(() => false)]),
  'members → the host': async ({ isMember }) => isMember(elder) && !isMember(stranger),
  'a client’s question → the role’s service': async ({ deliver }) => {
    const reply = decodeClientReply(
      await deliver('client', encodeClientRequest({ kind: 'authority' }), stranger),
    );
    if (!reply.ok || reply.value.kind !== 'authority') return false;
    return nameToId(reply.value.authority) === nameToId(encodeSignedAuthority(signedOf(own)));
  },
  'the section’s state → the adult’s receipts': async ({ deliver }) =>
    (await answerTo(deliver, 'data', storeRequest(), elder)) === 'receipt',
  'the section’s elders → who may store': async ({ deliver }) =>
    (await answerTo(deliver, 'data', storeRequest(), stranger)) === 'refused',
  'a section message → the section’s machine': async ({ deliver, seen }) => {
    const message = Uint8Array.of(1, 2, 3);
    await answerTo(deliver, 'section', { kind: 'deliver', protocol: 'section', message }, elder);
    return seen.includes(`received 010203 from ${nameToId(elder)}`);
  },
  // The machine counts it by the kind of its content; the frame around it is the same message.
  'a section message → the counters of its machine alone': async ({ metrics }) => {
    const numbers = await metrics.toRecord();
    return ['messages', 'bytes'].every(
      (each) => !(`safe_${each}_in_total/section/deliver` in numbers),
    );
  },
  'a malformed section message → the counters': async ({ deliver, metrics }) => {
    await deliver('section', Uint8Array.of(0), elder);
    return 'safe_bytes_in_total/section/malformed' in (await metrics.toRecord());
  },
  'a greeting → the exchange of addresses': async ({ deliver }) =>
    (await answerTo(
      deliver,
      'section',
      { kind: 'exchangeAddresses', records: [], wanted: [] },
      elder,
    )) === 'addresses',
  'a message of the section’s machine → its peer, as a section message': async ({
    section,
    seen,
  }) => {
    section.send(nameToId(elder), Uint8Array.of(9), 'section/test');
    return within(() => seen.includes(`section deliver section to ${nameToId(elder)}`));
  },
  'a newer state of another section → the prefixes this node knows': async ({ node, section }) => {
    section.onUpdate(trustedUpdate(sectionProofOf(signedOf(other))));
    return showPrefix(node.prefixOf(new Uint8Array(32).fill(0xff))) === '1';
  },
  'a request of a handover → the money of its key': ({ section }) =>
    new Promise((done) => {
      const page = { kind: 'serve', key: own.authority.key, from: nameToId(elder) };
      section.money(page as never, () => done(true));
      section.money({ kind: 'sealMoney', key: own.authority.key }, () => done(true));
      setTimeout(() => done(false), 3_000);
    }),
  'a fault → the counters': async ({ section, metrics }) => {
    section.blamed('badShare', nameToId(elder));
    return (await metrics.toRecord())['safe_blamed_total/badShare'] === 1;
  },
  'requests in progress and the section → the gauges': async ({ deliver, metrics }) => {
    // The stub section answers this message only when the gauges have been read.
    const message = heldMessage;
    const held = answerTo(
      deliver,
      'section',
      { kind: 'deliver', protocol: 'section', message },
      elder,
    );
    const numbers = await metrics.toRecord();
    releaseHeld();
    await held;
    const { authority } = own;
    return (
      numbers['safe_system_running'] === 1 &&
      numbers['safe_members'] === authority.members.length &&
      numbers['safe_generation'] === Number(authority.generation) &&
      Number(numbers['safe_known_nodes']) > 0
    );
  },
  'a refused join → the program': async ({ section, seen }) => {
    section.onJoinRefused('No vacancy.');
    return seen.includes('refused No vacancy.');
  },
  'a relocation → the program': async ({ section, seen }) => {
    const destination = new Uint8Array(32).fill(7);
    section.onRelocate({ certificate: Uint8Array.of(1), age: 6, destination });
    return seen.includes(`relocate 6 ${nameToId(destination)}`);
  },
  'a failure of the section’s machine → the log and the end of the program': async ({
    section,
    seen,
  }) => {
    const thrown = thrownLater(() => section.onFailure(new Error('no space')));
    return seen.includes('logged machineFailed') && thrown instanceof MachineFailure;
  },
  'a fact of the replication that cannot be stored → the log and the end of the program': async ({
    section,
    seen,
    fillDisk,
  }) => {
    const failed = (): number => seen.filter((line) => line === 'logged machineFailed').length;
    const before = failed();
    fillDisk();
    const now = signedOf(own);
    const authority = { ...now.authority, generation: now.authority.generation + 1n };
    const signed = { ...now, authority };
    const ended = endLater(() => section.onAdopted({ ...standingOf('adult'), signed }));
    return (await ended) instanceof MachineFailure && failed() === before + 1;
  },
  'a removal → the program': async ({ section, seen }) => {
    section.onRemoved();
    return seen.includes('removed');
  },
  'stop → the section’s machine': async ({ node, seen }) => {
    await node.stop();
    return seen.includes('section stopped');
  },
};

/** The network's first section: its key is the genesis key. */
const own = sectionOf([self, 31, 32, 33], EMPTY_PREFIX, 0);
const other = sectionOf([40], prefixOf('1'), 3);

const standingOf = (role: NodeStanding['role']): NodeStanding => ({
  role,
  signed: signedOf(own),
  previous: null,
  share: null,
});

function storeRequest(): NodeRequest {
  const bytes = Uint8Array.of(5);
  return { kind: 'storeChunk', stateRef: stateRefOf(own.authority), name: sha256(bytes), bytes };
}

async function answerTo(
  deliver: World['deliver'],
  protocol: 'data' | 'section',
  request: NodeRequest,
  from: Uint8Array,
): Promise<string> {
  const reply = decodeNodeReply(await deliver(protocol, encodeNodeRequest(request), from));
  return reply.ok ? reply.value.kind : 'unread';
}

const heldMessage = Uint8Array.of(0);
let releaseHeld: () => void = () => undefined;

/** @returns what the callback throws that `act` gives to `setImmediate`. */
function thrownLater(act: () => void): unknown {
  const product = globalThis.setImmediate;
  let later: () => void = () => undefined;
  globalThis.setImmediate = ((callback: () => void) => (later = callback)) as never;
  try {
    act();
  } finally {
    globalThis.setImmediate = product;
  }
  try {
    later();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** @returns what the program would end with because of `act`, once it does; undefined after a second. */
async function endLater(act: () => void): Promise<unknown> {
  const product = globalThis.setImmediate;
  let ended: unknown;
  globalThis.setImmediate = ((callback: () => void) =>
    product(() => {
      try {
        callback();
      } catch (error) {
        ended = error;
      }
    })) as never;
  try {
    act();
    await within(() => ended !== undefined);
    return ended;
  } finally {
    globalThis.setImmediate = product;
  }
}

async function startWorld(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'node-wiring-'));
  const opened = await openIdentity(folder, 'node');
  const identity = { ...opened, name: nameOf(self), seed: seedOf(self) };
  const stored = openNodeFacts(identity);
  let isFull = false;
  const facts: typeof stored = {
    ...stored,
    append: async (machine, key, fact) => {
      if (isFull && machine === 'replication') throw new Error('no space');
      return stored.append(machine, key, fact);
    },
  };
  const book = createAddressBook(networkId, null);
  for (const n of [1, 2, 3, 90]) {
    const record = signAddressRecord(seedOf(n), networkId, 1n, ['/ip4/192.0.2.1/tcp/1']);
    book.offer(encodeAddressRecord(record), nameOf(n), '192.0.2.1');
  }
  const metrics = createMetrics();
  const seen: string[] = [];
  const handlers = new Map<string, Parameters<NodeHost['serve']>[2]>();
  let isMember: World['isMember'] = () => false;
  let callbacks: SectionCallbacks | undefined;
  const host: NodeHost = {
    name: identity.name,
    peerId: 'self',
    addresses: () => [],
    serve: async (kind, tag, handler) => void handlers.set(tag === 'lobby' ? tag : kind, handler),
    request: async ({ name }, protocol, _tag, request) => {
      seen.push(`${protocol} ${kindOf(request)} to ${nameToId(name)}`);
      return err({ kind: 'unreachable' });
    },
    checkReachable: async () => true,
    addressGroupsOf: () => new Set(),
    setMembership: (next) => {
      isMember = next;
    },
    heldBytes: () => 0,
    connections: () => 0,
    stop: async () => undefined,
  };
  const options: NodeOptions = {
    ...{ identity, host, facts, book, metrics },
    anchor: { networkId, genesisKey: own.authority.key },
    file: { name: 'test' } as never,
    jobs: { run: async () => ok(true), stop: async () => undefined } as never,
    log: { write: ({ event }) => void seen.push(`logged ${event}`), close: () => undefined },
    dataLimitBytes: 1_000_000,
    openSection: async (given) => {
      callbacks = given;
      return {
        receive: async (from, message) => {
          if (message.length === 1) await new Promise<void>((go) => (releaseHeld = go));
          seen.push(`received ${[...message].map((n) => `0${n}`).join('')} from ${from}`);
          return true;
        },
        setVacancies: () => undefined,
        input: () => undefined,
        misbehaved: () => undefined,
        stop: () => void seen.push('section stopped'),
      };
    },
    onStandingChange: ({ role }) => void seen.push(`standing ${role}`),
    onRefused: (sentence) => void seen.push(`refused ${sentence}`),
    onRemoved: () => void seen.push('removed'),
    onRelocate: ({ age, destination }) =>
      void seen.push(`relocate ${age} ${nameToId(destination)}`),
  };
  const node = await startNode(options);
  if (callbacks === undefined) throw new Error('the section was not opened');
  return {
    ...{ folder, seen, metrics, section: callbacks },
    fillDisk: () => {
      isFull = true;
    },
    node: { ...node, stop: () => node.stop().finally(() => facts.close()) },
    isMember: (name) => isMember(name),
    deliver: async (protocol, bytes, from = elder) => {
      const remote: Remote = {
        ...{ peerId: nameToId(from), name: from, address: null },
        reportInvalid: () => undefined,
      };
      return (await handlers.get(protocol)?.(bytes, remote)) ?? new Uint8Array();
    },
  };
}

function kindOf(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes);
  return (
    ['deliver replication', 'deliver section', 'exchangeAddresses'].find((each) =>
      each.split(' ').every((word) => text.includes(word)),
    ) ?? 'request'
  );
}
