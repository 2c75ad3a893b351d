/**
 * Goal: an elder's audit blames and repairs exactly the nodes that its own question shows: answers that
 * are stale, to another question, of another section or of an unknown node do not count (N42).
 * Method: the real auditor with real signatures; handmade answers of holders; the test's clock.
 */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { err, ok, type Result } from '#core/result.ts';
import { createSigner } from '#node/keys/native-ed25519.ts';
import { createAuditor, type Auditor } from '#node/chunk-storage/replication-audit.ts';
import type { StateRef } from '#data/storage-receipt.ts';
import {
  challengeOf,
  confirmationBytes,
  decodeReplicationMessage,
  holdersOf,
  noDigest,
  possessionProof,
  stateRefOf,
  type Item,
  type ReplicationMessage,
} from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { encodeNodeReply } from '#roles/wire/node-requests.ts';
import { nameOf, networkId, sectionOf, seedOf } from './data-nodes.ts';

const elder = 1;
const adults = [11, 12, 13, 14, 15, 16];
const bytes = new Uint8Array(400).fill(3);
const itemFor = (content: Uint8Array): Item => ({
  kind: 'chunk',
  name: new Uint8Array(createHash('sha256').update(content).digest()),
  size: content.length,
  version: 0n,
  digest: noDigest,
});
const item = itemFor(bytes);
const idOf = (byte: number): string => nameToId(nameOf(byte));
const everyMs = 1_000;
/** Longer than the pause between two audits, so that the next one has to wait. */
const patienceMs = 1_500;

let section: SectionAuthority | null;
let asked: { readonly to: string; readonly nonce: Uint8Array; readonly item: Item }[];
let reported: string[];
/** A holder's answer to a request for the chunk itself. */
let given: Map<string, Uint8Array>;
let auditor: Auditor;

beforeEach(() => {
  vi.useFakeTimers();
  section = sectionOf([elder], adults);
  asked = [];
  reported = [];
  given = new Map();
  const full = new Set<string>();
  auditor = createAuditor({
    networkId,
    name: nameOf(elder),
    section: () => section,
    full: () => full,
    send: (to, message) => {
      const decoded = decodeReplicationMessage(message);
      if (!decoded.ok || decoded.value.kind !== 'confirm') throw new Error('a question');
      for (const question of decoded.value.challenges) asked.push({ to, ...question });
    },
    request: async (holder): Promise<Result<Uint8Array, unknown>> => {
      reported.push(`pulled ${nameToId(holder)}`);
      const chunk = given.get(nameToId(holder));
      if (chunk === undefined) return err('gone');
      return ok(encodeNodeReply({ kind: 'chunk', bytes: chunk }));
    },
    repair: (holder) => void reported.push(`repair ${nameToId(holder)}`),
    blamed: (kind, culprit) => void reported.push(`${kind} ${culprit}`),
    onMissed: (culprit) => void reported.push(`missed ${culprit}`),
    onVerdict: (kind) => void reported.push(kind),
    everyMs,
    answerTimeoutMs: patienceMs,
  });
});
afterEach(() => {
  auditor.stop();
  vi.useRealTimers();
});

/** The seeds of the chunk's holders, closest first. */
const holders = (() => {
  const all = sectionOf([elder], adults);
  const byId = new Map(adults.map((byte) => [idOf(byte), byte]));
  return holdersOf(all, item.name, new Set()).map(({ id }) => byId.get(id) ?? 0);
})();
const [one = 0, two = 0, three = 0, four = 0] = holders;
const nonMember = adults.find((byte) => !holders.includes(byte)) ?? 0;

const begin = async (): Promise<void> => {
  auditor.addStored(item);
  await vi.advanceTimersByTimeAsync(everyMs);
};
const end = (): Promise<unknown> => vi.advanceTimersByTimeAsync(patienceMs);

interface Lie {
  readonly content?: Uint8Array;
  readonly stateRef?: StateRef;
  readonly nonce?: Uint8Array;
  readonly signer?: number;
  readonly about?: Item;
}
const answer = (by: number, lie: Lie = {}): void => {
  const now = section ?? sectionOf([elder], adults);
  const { content = bytes, stateRef = stateRefOf(now), signer = by, about = item } = lie;
  const nonce = lie.nonce ?? asked[0]?.nonce ?? new Uint8Array(32);
  const challenge = challengeOf(networkId, nameOf(elder), nonce);
  const proof = possessionProof(challenge, 'chunk', content);
  const signed = confirmationBytes(networkId, stateRef, nameOf(by), about, challenge, proof);
  const signature = createSigner(seedOf(signer))(signed);
  auditor.onMessage(idOf(by), {
    kind: 'confirmed',
    stateRef,
    item: about,
    nonce,
    proof,
    signature,
  });
};
const lack = (by: number, more: Partial<ReplicationMessage & { kind: 'missing' }> = {}): void => {
  const nonce = asked[0]?.nonce ?? new Uint8Array(32);
  const stateRef = stateRefOf(section ?? sectionOf([elder], adults));
  auditor.onMessage(idOf(by), { kind: 'missing', stateRef, item, nonce, holder: true, ...more });
};

describe('N42: an audit', () => {
  test('asks all holders the same, and starts no second round before the first has ended', async () => {
    await begin();
    expect(asked.map(({ to }) => to)).toEqual(holders.map(idOf));
    expect(new Set(asked.map(({ nonce }) => nameToId(nonce))).size).toBe(1);
    await end();
    expect(reported).toEqual(['unanswered']);
    await vi.advanceTimersByTimeAsync(everyMs);
    expect(asked).toHaveLength(2 * holders.length);
    expect(new Set(asked.map(({ nonce }) => nameToId(nonce))).size).toBe(2);
  });

  test('names no node when all agree', async () => {
    await begin();
    for (const by of holders) answer(by);
    await end();
    expect(reported).toEqual(['agreed']);
  });

  test('a holder that does not answer or lacks the chunk while others agree has missed it; a lack is repaired', async () => {
    await begin();
    answer(one);
    answer(two);
    lack(three);
    await end();
    expect(reported).toEqual([
      'agreed',
      `repair ${idOf(three)}`,
      `missed ${idOf(four)}`,
      `missed ${idOf(three)}`,
    ]);
  });

  test('a node that is not required to hold the chunk is neither repaired nor counted as lacking it', async () => {
    await begin();
    answer(one);
    answer(two);
    answer(four);
    lack(three, { holder: false });
    await end();
    expect(reported).toEqual(['agreed', `missed ${idOf(three)}`]);
  });

  test('a false proof, and false bytes, are found by fetching the chunk', async () => {
    given = new Map([
      [idOf(one), new Uint8Array(400)],
      [idOf(two), bytes],
    ]);
    await begin();
    answer(one, { content: new Uint8Array(9) });
    for (const by of [two, three, four]) answer(by);
    await end();
    expect(reported).toEqual([
      'disputed',
      `pulled ${idOf(one)}`,
      `wrongBytes ${idOf(one)}`,
      `pulled ${idOf(two)}`,
      `wrongProof ${idOf(one)}`,
    ]);
  });

  test('a confirmation signed by another node is blamed on its sender and counts for no holder', async () => {
    await begin();
    answer(one);
    answer(two);
    answer(three);
    answer(four, { signer: nonMember });
    await end();
    expect(reported).toEqual([`wrongSignature ${idOf(four)}`, 'agreed', `missed ${idOf(four)}`]);
  });

  test('a signed answer about another chunk does not count', async () => {
    await begin();
    answer(four, { about: itemFor(new Uint8Array(7)) });
    for (const by of [one, two, three]) answer(by);
    await end();
    expect(reported).toEqual([`wrongSignature ${idOf(four)}`, 'agreed', `missed ${idOf(four)}`]);
  });

  test('answers to another question, under another state or of unknown nodes are ignored', async () => {
    const later = stateRefOf(sectionOf([elder], adults, 2n));
    await begin();
    for (const by of [one, two, three]) answer(by);
    answer(four, { nonce: new Uint8Array(32).fill(9) });
    lack(four, { nonce: new Uint8Array(32).fill(9) });
    answer(four, { stateRef: later });
    answer(nonMember, { content: new Uint8Array(1) });
    lack(nonMember);
    await end();
    expect(reported).toEqual(['agreed', `missed ${idOf(four)}`]);
  });

  test('after a change of state no node is blamed for the earlier question', async () => {
    await begin();
    answer(one);
    answer(two, { content: new Uint8Array(1) });
    lack(three);
    section = sectionOf([elder], adults, 2n);
    await end();
    expect(reported).toEqual([]);
  });

  test('only an elder asks, only about chunks, and unrequested answers do not count', async () => {
    const pointer: Item = { ...item, kind: 'pointer', size: 9, version: 1n };
    auditor.addStored(pointer);
    answer(one, { signer: two });
    await vi.advanceTimersByTimeAsync(everyMs);
    expect(asked).toEqual([]);
    section = null;
    await begin();
    await end();
    expect(asked).toEqual([]);
    expect(reported).toEqual([]);
  });
});
