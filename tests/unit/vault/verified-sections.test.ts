/**
 * Goal: the vault accepts a section only by a chain it has verified itself, of any length, verifies each
 * link once, and refuses a conflicting successor (N33). Method: a toy network that hands over, a worker
 * that serves chain pages.
 */
import { expect, test, vi } from 'vitest';
import type { CallInput } from '#bridge/worker-calls.ts';
import type { WorkerRpc } from '../../../src/vault/network/worker-rpc.ts';
import { toHex } from '#core/codec/bytes.ts';
import { encodeProof, chainPageFor } from '#protocol/anti-entropy/index.ts';
import {
  createTree,
  learn,
  sectionProofOf,
  trustedUpdate,
  type SectionTree,
} from '#protocol/section/index.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import { genesis, only, sign, succeed, type TestSection } from '../section/network.ts';

let verifications = 0;
vi.mock('#crypto/threshold-suite.ts', () => ({
  blsSuite: {
    ...toySuite,
    verify: (...args: Parameters<typeof toySuite.verify>) => {
      verifications += 1;
      return toySuite.verify(...args);
    },
  },
}));
const { createVerifiedSections } = await import('../../../src/vault/network/verified-sections.ts');

const born = genesis('vault', 2);
const { anchor } = born;
const network = () => ({
  name: 'vault',
  networkId: toHex(anchor.networkId),
  genesisKey: toHex(anchor.genesisKey),
});

/** The chain of a section after N handovers, and an honest worker's knowledge of it. */
function history(handovers: number, word = 'k') {
  let living: TestSection = born;
  let tree: SectionTree = createTree(anchor);
  const take = (proof: Parameters<typeof trustedUpdate>[0]): void => {
    ({ tree } = learn(tree, trustedUpdate(proof)));
  };
  for (let n = 1; n <= handovers; n++) {
    living = only(succeed(living, `${word}${n}`).children);
    const link = living.chain.at(-1);
    take({ links: link ? [link] : [], authority: null });
  }
  take(sectionProofOf(sign(living, 0)));
  return { living, tree };
}

/** A worker that answers `section/proof`, and a disk. */
function worker(first: ReturnType<typeof history>) {
  const disk = new Map<string, Uint8Array>();
  const state = { shown: first, asked: 0 };
  const rpc = (async (_name: 'section/proof', { from }: CallInput<'section/proof'>) => {
    state.asked += 1;
    return encodeProof(chainPageFor(state.shown.tree, from, sign(state.shown.living, 0)));
  }) as WorkerRpc;
  const store = {
    get: async (id: string) => disk.get(id),
    put: async (id: string, bytes: Uint8Array) => void disk.set(id, bytes),
  };
  return { state, disk, reader: () => createVerifiedSections(rpc, network, store) };
}

test('N33: a chain of forty links is followed page by page, and verified once', async () => {
  const { state, reader } = worker(history(40));
  verifications = 0;
  const first = reader();
  expect((await first.newest()).epoch).toBe(40n);
  expect(state.asked).toBe(3); // 16 links each
  expect(verifications).toBe(41);
  await first.newest();
  expect(verifications).toBe(41);
  // After a restart it is read from the disk.
  expect((await reader().newest()).epoch).toBe(40n);
  expect(verifications).toBe(41);
  state.shown = history(41);
  expect((await first.newest()).epoch).toBe(41n);
  expect(verifications).toBe(43);
});

test('a worker that lost its sections reverts nothing', async () => {
  const { state, reader } = worker(history(3));
  const vault = reader();
  await vault.newest();
  state.shown = history(1);
  expect((await vault.newest()).epoch).toBe(3n);
});

test('N33: a conflicting successor of a known key is refused with a sentence, before and after a restart', async () => {
  const { state, reader } = worker(history(2));
  const vault = reader();
  const before = toHex((await vault.newest()).key);
  state.shown = history(2, 'fraud');
  await expect(vault.newest()).rejects.toThrow('two different successors');
  await expect(reader().newest()).rejects.toThrow('two different successors');
  state.shown = history(2);
  expect(toHex((await vault.newest()).key)).toBe(before);
});

test('a chain from another network than the Safe’s is refused', async () => {
  const { state, reader } = worker(history(1));
  const stranger = genesis('another');
  state.shown = {
    living: stranger,
    tree: learn(createTree(stranger.anchor), trustedUpdate(sectionProofOf(sign(stranger)))).tree,
  };
  await expect(reader().newest()).rejects.toThrow('not the one your Safe belongs to');
});
