/**
 * Lying members: programs with the identities of an adult and of two elders, read from their
 * folders. They send the section well-formed messages with wrong content under their own names;
 * clients that dial the two elders reach the liar, because it signs newer address records.
 */
import { equalBytes } from '#core/codec/bytes.ts';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { encodeAddressRecord, signAddressRecord } from '#protocol/section/index.ts';
import { encodeReplicationMessage, noDigest } from '#protocol/replication/index.ts';
import {
  decodeIncomingRequest,
  encodeClientReply,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { encodeNodeRequest } from '#roles/wire/node-requests.ts';
import { decodeClientRequest } from '#roles/wire/client.ts';
import { sectionKeyHash } from '#money/spend-certificate.ts';
import type { Prng } from '../sim/prng.ts';
import type { Attacker, Attempt } from './attempt.ts';
import { askWith } from './connection.ts';
import { deliver, payloads } from './section-messages.ts';
import type { NodePlace, Target } from './target.ts';

/** Above every counter that a node of a young network has reached. */
const stolenCounter = 1_000_000n;

export async function openLyingAdult(target: Target, label: string): Promise<Attacker> {
  const self = target.node(label);
  const host = await openHostOf(self, null);
  const stateRef = {
    keyHash: sectionKeyHash(target.signed.authority.key),
    generation: target.signed.authority.generation,
  };
  let counter = stolenCounter;
  const attempts: readonly Attempt[] = [
    ...sectionLies(target, self, host, 'adult'),
    {
      name: 'adult: full, and empty again',
      harmless: true,
      once: async (random) => {
        const message = encodeReplicationMessage({
          kind: 'diskFull',
          counter: counter++,
          full: random.chance(0.5),
        });
        const request = encodeNodeRequest({ kind: 'deliver', protocol: 'replication', message });
        return askWith(host, target, 'data', random.pick(target.elders), request);
      },
    },
    {
      name: 'adult: proofs of unrequested chunks',
      harmless: true,
      once: async (random) => {
        const name = random.bytes(32);
        const item = { kind: 'chunk', name, size: 100, version: 0n, digest: noDigest } as const;
        const message = encodeReplicationMessage({
          kind: 'confirmed',
          stateRef,
          item,
          nonce: random.bytes(32),
          proof: random.bytes(32),
          signature: random.bytes(64),
        });
        const request = encodeNodeRequest({ kind: 'deliver', protocol: 'replication', message });
        return askWith(host, target, 'data', random.pick(target.elders), request);
      },
    },
  ];
  return { name: 'lying adult', attempts, stop: host.stop };
}

export async function openLyingElder(
  target: Target,
  label: string,
  port: number,
  prng: Prng,
): Promise<Attacker> {
  const self = target.node(label);
  const host = await openHostOf(self, port);
  await host.serve('client', target.tag, async (bytes) =>
    encodeClientReply(falseAnswer(target, openRequest(bytes), prng)),
  );
  const record = encodeAddressRecord(
    signAddressRecord(self.seed, target.anchor.networkId, stolenCounter, [
      `/ip4/127.0.0.1/tcp/${port}`,
    ]),
  );
  const greeting = encodeNodeRequest({ kind: 'exchangeAddresses', records: [record], wanted: [] });
  for (const node of target.nodes) {
    if (!equalBytes(node.name, self.name)) await askWith(host, target, 'section', node, greeting);
  }
  return {
    name: `lying ${label}`,
    attempts: sectionLies(target, self, host, 'elder'),
    stop: host.stop,
  };
}

const sectionLies = (
  target: Target,
  self: NodePlace,
  host: NodeHost,
  role: 'adult' | 'elder',
): readonly Attempt[] =>
  Object.entries(payloads).map(([kind, make]) => ({
    name: `${role}: ${kind}`,
    harmless: true,
    once: async (random) => {
      const others = target.nodes.filter(
        ({ label, name }) => label !== 'bootstrap' && !equalBytes(name, self.name),
      );
      const to = random.pick(others);
      const request = deliver(target, self, to, make(target, random), random);
      return askWith(host, target, 'section', to, request);
    },
  }));

const openHostOf = ({ seed }: NodePlace, tcpPort: number | null): Promise<NodeHost> =>
  createNodeHost({
    identitySeed: seed,
    role: 'adult',
    tcpPort,
    wsPort: null,
    rtcDirectPort: null,
    bootstrap: { tcpAddress: null },
  });

function openRequest(bytes: Uint8Array): ClientRequest | null {
  const request = decodeIncomingRequest(bytes);
  if (!request.ok || request.value.kind === 'section') return null;
  if (request.value.kind !== 'routed') return request.value;
  const inner = decodeClientRequest(request.value.request);
  return inner.ok ? inner.value : null;
}

/** A refusal, false bytes, or a promise that is not kept. */
function falseAnswer(target: Target, request: ClientRequest | null, prng: Prng): ClientReply {
  const refused: readonly ClientReply[] = [
    { kind: 'refused', refusal: { kind: 'notFound' } },
    { kind: 'refused', refusal: { kind: 'conflict', evidence: new Uint8Array() } },
    { kind: 'refused', refusal: { kind: 'conflict', evidence: prng.bytes(300) } },
    { kind: 'refused', refusal: { kind: 'full' } },
    { kind: 'refused', refusal: { kind: 'retry', proof: prng.bytes(200) } },
    { kind: 'refused', refusal: { kind: 'redirect', proof: prng.bytes(200) } },
    { kind: 'refused', refusal: { kind: 'malformed', what: 'request' } },
    { kind: 'refused', refusal: { kind: 'busy', afterMs: 60_000 } },
  ];
  if (request === null || prng.chance(0.5)) return prng.pick(refused);
  const { authority } = target.signed;
  const stateRef = { keyHash: sectionKeyHash(authority.key), generation: authority.generation };
  const receipts = authority.members
    .slice(0, 4)
    .map(({ name }) => ({ holder: name, signature: prng.bytes(64) }));
  switch (request.kind) {
    case 'putChunk':
      return { kind: 'stored', stateRef, receipts };
    case 'putPointer':
      return { kind: 'pointerStored', stateRef, receipts };
    case 'getChunk': {
      const holder = authority.members[0]?.name ?? prng.bytes(32);
      return { kind: 'chunk', bytes: prng.bytes(500), holder };
    }
    case 'getPointer': {
      const copies = authority.members
        .slice(0, 4)
        .map(({ name }) => ({ holder: name, record: prng.bytes(300) }));
      return { kind: 'pointers', copies };
    }
    case 'slot':
    case 'output':
      return { kind: 'money', message: prng.bytes(120) };
    case 'outputs':
      return { kind: 'outputs', entries: [prng.bytes(900)], next: request.after + 1, more: true };
    case 'addresses':
      return { kind: 'addresses', records: [prng.bytes(200)] };
    case 'authority':
      return { kind: 'authority', authority: prng.bytes(400) };
    case 'hello':
      return prng.pick(refused);
  }
}
