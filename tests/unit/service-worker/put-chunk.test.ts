/**
 * Goal: a chunk counts as stored by verified receipts of members, also where a split left this device with
 * only the key of the answering section (N41). Method: a fake light node in front of one elder whose adults
 * really sign.
 */
import { expect, test, vi } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { utf8 } from '#core/codec/bytes.ts';
import { err, ok } from '#core/result.ts';
import { sha256 } from '#crypto/hash.ts';
import { storedChunk } from '#data/storage-receipt.ts';
import { stateRefOf } from '#protocol/replication/index.ts';
import { eldersFor } from '#roles/light-client/elders-to-query.ts';
import { getChunk, putChunk, type DataNode } from '../../../src/service-worker/data-client.ts';
import type { Section } from '../../../src/service-worker/light-node/known-sections.ts';
import { elders, nameOf, networkId, sectionOf, seedOf } from './plain-section.ts';
import { signReceipt } from '../../support/receipts.ts';

const bytes = utf8('a piece of a file');
const name = sha256(bytes);
const half = parsePrefix((name[0] ?? 0) < 128 ? '0' : '1') ?? EMPTY_PREFIX;
const parent = sectionOf([11, 12, 13, 14]);
const child = sectionOf([21, 22, 23, 24], half, 2);

/**
 * @param read the result of chain sync with the elder
 * @param signed the chunk that the adults really stored
 */
function nodeOf(read: Section, signers: readonly number[] = [21, 22, 23], signed = name) {
  let known = parent;
  const asked = { put: 0, read: 0 };
  const stateRef = stateRefOf(child.authority);
  const receipts = signers.map((n) => ({
    holder: nameOf(n),
    signature: signReceipt(seedOf(n), networkId, stateRef, storedChunk(signed)),
  }));
  const node: DataNode = {
    section: async () => known,
    requestFor: async () => {
      asked.put += 1;
      return ok({ kind: 'stored', stateRef, receipts });
    },
    catchUp: async () => {
      asked.read += 1;
      known = read;
    },
    stall: () => null,
  };
  return { node, asked };
}

test('N41: for a key known by its link alone, the members are read, then receipts count', async () => {
  const { node, asked } = nodeOf(child);
  expect(await putChunk(node, bytes)).toBe(3);
  expect(asked).toEqual({ put: 1, read: 1 });
});

test('N41: an elder that cannot prove those members gives no valid receipts, and the next one is asked', async () => {
  const { node, asked } = nodeOf(parent);
  await expect(putChunk(node, bytes)).rejects.toThrow('too few receipts');
  expect(asked).toEqual({ put: elders.length, read: elders.length });
});

test('N41: receipts of adults from before the split do not count', async () => {
  const { node } = nodeOf(child, [11, 12, 13, 14]);
  await expect(putChunk(node, bytes)).rejects.toThrow('too few receipts');
});

test('N41: signatures for another chunk do not count', async () => {
  const { node } = nodeOf(child, [21, 22, 23], sha256(utf8('another piece')));
  await expect(putChunk(node, bytes)).rejects.toThrow('too few receipts');
});

test('N41: an adult counts once, however often its receipt is repeated', async () => {
  const { node } = nodeOf(child, [21, 22, 21, 22]);
  await expect(putChunk(node, bytes)).rejects.toThrow('too few receipts');
});

interface Failure {
  readonly kind?: 'unreachable';
  readonly congested?: true;
}

/** @param fails the error of a piece request, by elder; undefined when it is answered */
function nodeThat(fails: (elder: string) => Failure | undefined) {
  const asked: string[] = [];
  const { node } = nodeOf(child);
  const failing: DataNode = {
    ...node,
    requestFor: async (of, elder, request, patience) => {
      asked.push(elder.name.join());
      const failure = fails(elder.name.join());
      return failure === undefined
        ? node.requestFor(of, elder, request, patience)
        : err({ kind: 'timeout', ...failure });
    },
  };
  return { node: failing, asked };
}

test.each<Failure>([{ congested: true }, { kind: 'unreachable', congested: true }])(
  'a piece delayed by our own bytes is not resent to the next elder now, but goes to another one next time: %o',
  async (failure) => {
    let isSlow = true;
    const { node, asked } = nodeThat(() => (isSlow ? failure : undefined));
    await expect(putChunk(node, bytes)).rejects.toMatchObject({ failure: { kind: 'slow' } });
    await expect(getChunk(node, name)).rejects.toMatchObject({ failure: { kind: 'slow' } });
    isSlow = false;
    expect(await putChunk(node, bytes)).toBe(3);
    expect(new Set(asked).size).toBe(3);
  },
);

test.each<Failure>([{}, { kind: 'unreachable' }])(
  'an elder that stalls a piece, or aborts, is asked last for the next one: %o',
  async (failure) => {
    let silent = '';
    const { node, asked } = nodeThat((elder) => {
      if (silent === '') silent = elder;
      return elder === silent ? failure : undefined;
    });
    expect(await putChunk(node, bytes)).toBe(3);
    expect(asked.splice(0)[0]).toBe(silent);
    expect(await putChunk(node, bytes)).toBe(3);
    expect(asked).not.toContain(silent);
  },
);

test('after a moment without any connection the closest elder is asked first again', async () => {
  let isAway = true;
  const { node, asked } = nodeThat(() => (isAway ? { kind: 'unreachable' } : undefined));
  await expect(putChunk(node, bytes)).rejects.toMatchObject({ failure: { kind: 'offline' } });
  const [closest] = asked;
  expect(new Set(asked).size).toBe(elders.length);
  isAway = false;
  asked.length = 0;
  expect(await putChunk(node, bytes)).toBe(3);
  expect(asked).toEqual([closest]);
  // Another piece has another closest elder, whose failure is cleared, too.
  const { elders: all } = await node.section(name);
  const closestTo = (of: Uint8Array): string => eldersFor(all, of)[0]?.name.join() ?? '';
  const other = Array.from({ length: 64 }, (_, n) => sha256(Uint8Array.of(n))).find(
    (of) => closestTo(of) !== closest,
  );
  asked.length = 0;
  await getChunk(node, other ?? name).catch(() => undefined);
  expect(asked[0]).toBe(closestTo(other ?? name));
  expect(asked[0]).not.toBe(closest);
});

test('an elder that accepts a piece again regains its position', async () => {
  let isSilent = true;
  const { node, asked } = nodeThat((elder) =>
    isSilent && elder === asked[0] ? { kind: 'unreachable' } : undefined,
  );
  await putChunk(node, bytes);
  isSilent = false;
  const closest = asked[0];
  const others = elders.length - 1;
  asked.length = 0;
  // Asked last, it is reached when all others refuse; then its failure is cleared.
  let refusing = others;
  const { node: same } = { node };
  const real = same.requestFor;
  Object.assign(same, {
    requestFor: async (...given: Parameters<typeof real>) => {
      if (refusing-- > 0) return err({ kind: 'refused', refusal: { kind: 'full' } });
      return real(...given);
    },
  });
  expect(await putChunk(same, bytes)).toBe(3);
  Object.assign(same, { requestFor: real });
  asked.length = 0;
  expect(await putChunk(same, bytes)).toBe(3);
  expect(asked).toEqual([closest]);
});

test('two elders that stall every piece until the timeout are skipped in the third attempt', async () => {
  vi.useFakeTimers();
  try {
    const liars = new Set<string>();
    const { node, asked } = nodeThat((elder) => {
      if (liars.size < 2) liars.add(elder);
      if (!liars.has(elder)) return undefined;
      vi.setSystemTime(Date.now() + 90_000);
      return { congested: true };
    });
    for (let n = 0; n < 2; n++) {
      await expect(putChunk(node, bytes)).rejects.toMatchObject({ failure: { kind: 'slow' } });
    }
    for (let n = 0; n < 4; n++) expect(await putChunk(node, bytes)).toBe(3);
    expect(asked).toHaveLength(6);
  } finally {
    vi.useRealTimers();
  }
});
