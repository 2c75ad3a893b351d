/**
 * Goal: the vault believes a section only by a chain it has followed itself, however long, pays for
 * each link once, and refuses a second successor (N33). Method: a toy network that hands over, a
 * worker that shows pages of it.
 */
import { expect, test, vi } from 'vitest';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { encodeProof, pageFor } from '#protocol/anti-entropy/index.ts';
import {
  emptyTree,
  learn,
  proofOf,
  storedUpdate,
  type SectionTree,
} from '#protocol/section/index.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import { genesis, only, sign, succeed, type Living } from '../section/network.ts';

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
const { createAuthorityReader } = await import('../../../src/vault/authority.ts');

const born = genesis('vault', 2);
const { anchor } = born;
const network = () => ({
  name: 'vault',
  networkId: toHex(anchor.networkId),
  genesisKey: toHex(anchor.genesisKey),
});

/** The chain of a section that handed over so many times, and what an honest worker knows of it. */
function history(handovers: number, word = 'k') {
  let living: Living = born;
  let tree: SectionTree = emptyTree(anchor);
  const take = (proof: Parameters<typeof storedUpdate>[0]): void => {
    ({ tree } = learn(tree, storedUpdate(proof)));
  };
  for (let n = 1; n <= handovers; n++) {
    living = only(succeed(living, `${word}${n}`).children);
    const link = living.chain.at(-1);
    take({ links: link ? [link] : [], authority: null });
  }
  take(proofOf(sign(living, 0)));
  return { living, tree };
}

/** A worker that answers `section/proof`, and a disk. */
function worker(first: ReturnType<typeof history>) {
  const disk = new Map<string, Uint8Array>();
  const state = { shown: first, asked: 0 };
  const rpc = {
    call: async (path: string) => {
      state.asked += 1;
      const from = fromHex(new URLSearchParams(path.split('?')[1]).get('from') ?? '');
      if (!from.ok) throw new Error('not hex');
      const page = pageFor(state.shown.tree, from.value, sign(state.shown.living, 0));
      return new Response(encodeProof(page) as Uint8Array<ArrayBuffer>);
    },
  };
  const store = {
    get: async (id: string) => disk.get(id),
    put: async (id: string, bytes: Uint8Array) => void disk.set(id, bytes),
  };
  return { state, disk, reader: () => createAuthorityReader(rpc, network, store) };
}

test('N33: a chain of forty links is followed page by page, and paid for once', async () => {
  const { state, reader } = worker(history(40));
  verifications = 0;
  const first = reader();
  expect((await first.newest()).epoch).toBe(40n);
  expect(state.asked).toBe(3); // 16 links each
  expect(verifications).toBe(41);
  await first.newest();
  expect(verifications).toBe(41);
  // After a restart the disk knows.
  expect((await reader().newest()).epoch).toBe(40n);
  expect(verifications).toBe(41);
  state.shown = history(41);
  expect((await first.newest()).epoch).toBe(41n);
  expect(verifications).toBe(43);
});

test('a worker that has forgotten takes nothing back', async () => {
  const { state, reader } = worker(history(3));
  const vault = reader();
  await vault.newest();
  state.shown = history(1);
  expect((await vault.newest()).epoch).toBe(3n);
});

test('N33: a second successor of a known key is refused in a sentence, before and after a restart', async () => {
  const { state, reader } = worker(history(2));
  const vault = reader();
  const before = toHex((await vault.newest()).key);
  state.shown = history(2, 'fraud');
  await expect(vault.newest()).rejects.toThrow('two different successors');
  await expect(reader().newest()).rejects.toThrow('two different successors');
  state.shown = history(2);
  expect(toHex((await vault.newest()).key)).toBe(before);
});

test('what does not follow from the network of the Safe is refused', async () => {
  const { state, reader } = worker(history(1));
  const stranger = genesis('another');
  state.shown = {
    living: stranger,
    tree: learn(emptyTree(stranger.anchor), storedUpdate(proofOf(sign(stranger)))).tree,
  };
  await expect(reader().newest()).rejects.toThrow('not the one your Safe belongs to');
});
