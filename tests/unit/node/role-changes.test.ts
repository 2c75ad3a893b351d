/** Goal: a disk error delays a node's changes of role and state, and loses none. */
import { expect, test, vi } from 'vitest';
import { openHandoverMoney } from '#node/money/handover-money.ts';
import { openMoneyKeyChain } from '#node/money/money-key-chain.ts';
import { createRoleChanges } from '#node/section/role-changes.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { linkOf, termOf } from './handover-money-world.ts';
import { silentLog } from '../../support/silent-log.ts';

const parent = termOf(0n, ['ann', 'ben', 'cat', 'dan', 'eve', 'fay', 'gus']).authority;
const child = termOf(1n, ['ben', 'cat', 'dan', 'eve', 'fay', 'gus', 'hal']).authority;
const link = linkOf(parent, new Uint8Array(32), [child]);

/** A disk that refuses this many writes. */
function failingFacts(failures: number): { readonly facts: FactStore; readonly written: string[] } {
  const written: string[] = [];
  let left = failures;
  const facts = {
    keys: async () => [],
    load: async () => [],
    append: async (_machine: string, key: string) => {
      if (left-- > 0) throw new Error('disk full');
      written.push(key);
    },
  } as unknown as FactStore;
  return { facts, written };
}

test('a failed change of role is retried until it succeeds', async () => {
  const tried: string[] = [];
  const failed: unknown[] = [];
  const done = await new Promise<boolean>((resolve) => {
    const changes = createRoleChanges<string>({
      adopt: async (next) => {
        tried.push(next);
        if (tried.length < 3) throw new Error('disk full');
      },
      onDone: () => resolve(true),
      onError: (error) => failed.push(error),
      retryMs: 1,
    });
    changes.request('elder');
  });
  expect(done).toBe(true);
  expect(tried).toEqual(['elder', 'elder', 'elder']);
  expect(failed).toHaveLength(2);
});

test('a failed change is not retried after a newer one, nor after the stop', async () => {
  const tried: string[] = [];
  const changes = createRoleChanges<string>({
    adopt: async (next) => {
      tried.push(next);
      if (next === 'old') throw new Error('disk full');
    },
    onDone: () => undefined,
    onError: () => undefined,
    retryMs: 0,
  });
  changes.request('old');
  changes.request('new');
  await new Promise((go) => setTimeout(go, 20));
  expect(tried).toEqual(['old', 'new']);
  changes.request('old');
  await changes.stop();
  await new Promise((go) => setTimeout(go, 20));
  expect(tried).toEqual(['old', 'new', 'old']);
});

test('a link is known only when it is on disk, and is written when it is received again', async () => {
  const { facts, written } = failingFacts(1);
  const links = await openMoneyKeyChain(facts, () => undefined);
  await expect(links.add([link])).rejects.toThrow('disk full');
  expect(links.successorOf(parent.key)).toBeUndefined();
  await Promise.all([links.add([link]), links.add([link])]);
  expect(written).toHaveLength(1);
  expect(links.successorOf(parent.key)).toBe(link);
});

test('links learned during a disk error are stored later, and none is rejected', async () => {
  const { facts, written } = failingFacts(2);
  const ending = await openHandoverMoney({
    label: 'node',
    self: 'node',
    facts,
    jobs: {} as never,
    authority: () => null,
    others: () => [],
    input: () => undefined,
    onUnknownKey: () => undefined,
    onReady: () => undefined,
    log: silentLog,
    archiveRetryMs: 1,
  });
  ending.addLinksWithRetry([link]);
  await vi.waitFor(() => expect(written).toHaveLength(1), { timeout: 20_000 });
  ending.stop();
});
