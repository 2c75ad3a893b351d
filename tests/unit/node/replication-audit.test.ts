/**
 * Goal: an elder's audit blames and repairs exactly whom its own question shows: nothing stale, of
 * another question, of another section or of a stranger counts (N42).
 * Method: the real auditor with real signatures; holders answer by hand, time by the test.
 */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { err, ok, type Result } from '#core/result.ts';
import { createSigner } from '#node/native-ed25519.ts';
import { createAuditor, type Auditor } from '#node/replication-audit.ts';
import {
  challengeOf,
  confirmationBytes,
  decodeReplicationMessage,
  holdersOf,
  noDigest,
  proofOf,
  stampOf,
  type Item,
  type ReplicationMessage,
  type Stamp,
} from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { encodeNodeReply } from '#roles/wire/node.ts';
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
/** Longer than the pause between two audits: the next one has to wait. */
const patienceMs = 1_500;

let section: SectionAuthority | null;
let asked: { readonly to: string; readonly nonce: Uint8Array; readonly item: Item }[];
let reported: string[];
/** What a holder gives when it is asked for the chunk itself. */
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
      for (const question of decoded.value.questions) asked.push({ to, ...question });
    },
    request: async (holder): Promise<Result<Uint8Array, unknown>> => {
      reported.push(`pulled ${nameToId(holder)}`);
      const chunk = given.get(nameToId(holder));
      if (chunk === undefined) return err('gone');
      return ok(encodeNodeReply({ kind: 'chunk', bytes: chunk }));
    },
    repair: (holder) => void reported.push(`repair ${nameToId(holder)}`),
    blamed: (kind, culprit) => void reported.push(`${kind} ${culprit}`),
    missed: (culprit) => void reported.push(`missed ${culprit}`),
    onVerdict: (kind) => void reported.push(kind),
    everyMs,
    patienceMs,
  });
});
afterEach(() => {
  auditor.stop();
  vi.useRealTimers();
});

/** The seeds of those who have to hold the chunk, nearest first. */
const holders = (() => {
  const all = sectionOf([elder], adults);
  const byId = new Map(adults.map((byte) => [idOf(byte), byte]));
  return holdersOf(all, item.name, new Set()).map(({ id }) => byId.get(id) ?? 0);
})();
const [one = 0, two = 0, three = 0, four = 0] = holders;
const stranger = adults.find((byte) => !holders.includes(byte)) ?? 0;

const begin = async (): Promise<void> => {
  auditor.noticed(item);
  await vi.advanceTimersByTimeAsync(everyMs);
};
const end = (): Promise<unknown> => vi.advanceTimersByTimeAsync(patienceMs);

interface Lie {
  readonly content?: Uint8Array;
  readonly stamp?: Stamp;
  readonly nonce?: Uint8Array;
  readonly signer?: number;
  readonly about?: Item;
}
const answer = (by: number, lie: Lie = {}): void => {
  const now = section ?? sectionOf([elder], adults);
  const { content = bytes, stamp = stampOf(now), signer = by, about = item } = lie;
  const nonce = lie.nonce ?? asked[0]?.nonce ?? new Uint8Array(32);
  const challenge = challengeOf(networkId, nameOf(elder), nonce);
  const proof = proofOf(challenge, 'chunk', content);
  const signed = confirmationBytes(networkId, stamp, nameOf(by), about, challenge, proof);
  const signature = createSigner(seedOf(signer))(signed);
  auditor.heard(idOf(by), { kind: 'confirmed', stamp, item: about, nonce, proof, signature });
};
const lack = (by: number, more: Partial<ReplicationMessage & { kind: 'lacking' }> = {}): void => {
  const nonce = asked[0]?.nonce ?? new Uint8Array(32);
  const stamp = stampOf(section ?? sectionOf([elder], adults));
  auditor.heard(idOf(by), { kind: 'lacking', stamp, item, nonce, holder: true, ...more });
};

describe('N42: an audit', () => {
  test('asks all holders the same, and nothing new before it has ended', async () => {
    await begin();
    expect(asked.map(({ to }) => to)).toEqual(holders.map(idOf));
    expect(new Set(asked.map(({ nonce }) => nameToId(nonce))).size).toBe(1);
    await end();
    expect(reported).toEqual(['unanswered']);
    await vi.advanceTimersByTimeAsync(everyMs);
    expect(asked).toHaveLength(2 * holders.length);
    expect(new Set(asked.map(({ nonce }) => nameToId(nonce))).size).toBe(2);
  });

  test('where all agree nobody is named', async () => {
    await begin();
    for (const by of holders) answer(by);
    await end();
    expect(reported).toEqual(['agreed']);
  });

  test('who is silent or lacks it while others agree has missed it, and who lacks it is mended', async () => {
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

  test('who says that it need not hold it is neither mended nor heard as a lack', async () => {
    await begin();
    answer(one);
    answer(two);
    answer(four);
    lack(three, { holder: false });
    await end();
    expect(reported).toEqual(['agreed', `missed ${idOf(three)}`]);
  });

  test('a made-up proof is found by pulling the chunk, and false bytes on the way, too', async () => {
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

  test('what another signed is blamed on the one who brought it, and counts for nobody', async () => {
    await begin();
    answer(one);
    answer(two);
    answer(three);
    answer(four, { signer: stranger });
    await end();
    expect(reported).toEqual([`wrongSignature ${idOf(four)}`, 'agreed', `missed ${idOf(four)}`]);
  });

  test('an answer about another chunk is none, though truly signed', async () => {
    await begin();
    answer(four, { about: itemFor(new Uint8Array(7)) });
    for (const by of [one, two, three]) answer(by);
    await end();
    expect(reported).toEqual([`wrongSignature ${idOf(four)}`, 'agreed', `missed ${idOf(four)}`]);
  });

  test('answers to another question, of another state and of strangers are passed over', async () => {
    const later = stampOf(sectionOf([elder], adults, 2n));
    await begin();
    for (const by of [one, two, three]) answer(by);
    answer(four, { nonce: new Uint8Array(32).fill(9) });
    lack(four, { nonce: new Uint8Array(32).fill(9) });
    answer(four, { stamp: later });
    answer(stranger, { content: new Uint8Array(1) });
    lack(stranger);
    await end();
    expect(reported).toEqual(['agreed', `missed ${idOf(four)}`]);
  });

  test('under a state that is no longer, nobody is named for what was asked before', async () => {
    await begin();
    answer(one);
    answer(two, { content: new Uint8Array(1) });
    lack(three);
    section = sectionOf([elder], adults, 2n);
    await end();
    expect(reported).toEqual([]);
  });

  test('only an elder asks, only of chunks, and what comes unasked counts for nothing', async () => {
    const pointer: Item = { ...item, kind: 'pointer', size: 9, version: 1n };
    auditor.noticed(pointer);
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
