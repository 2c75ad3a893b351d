/** Goal: a failing disk delays what a node becomes or learns, and loses nothing of it. */
import { expect, test, vi } from 'vitest';
import { silentLog } from '#node/log.ts';
import { openHandoverMoney } from '#node/handover-money.ts';
import { openMoneyLinks } from '#node/handover-money-links.ts';
import { createRoleChanges } from '#node/role-changes.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { linkOf, termOf } from './handover-money-world.ts';

const parent = termOf(0n, ['ann', 'ben', 'cat', 'dan', 'eve', 'fay', 'gus']).authority;
const child = termOf(1n, ['ben', 'cat', 'dan', 'eve', 'fay', 'gus', 'hal']).authority;
const link = linkOf(parent, new Uint8Array(32), [child]);

/** A disk that refuses so many writes. */
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

test('a change of role that failed is tried again until it succeeds', async () => {
  const tried: string[] = [];
  const failed: unknown[] = [];
  const done = await new Promise<boolean>((resolve) => {
    const changes = createRoleChanges<string>({
      adopt: async (next) => {
        tried.push(next);
        if (tried.length < 3) throw new Error('disk full');
      },
      done: () => resolve(true),
      failed: (error) => failed.push(error),
      retryMs: 1,
    });
    changes.to('elder');
  });
  expect(done).toBe(true);
  expect(tried).toEqual(['elder', 'elder', 'elder']);
  expect(failed).toHaveLength(2);
});

test('a failed change is not tried again once a newer one is here, nor after the stop', async () => {
  const tried: string[] = [];
  const changes = createRoleChanges<string>({
    adopt: async (next) => {
      tried.push(next);
      if (next === 'old') throw new Error('disk full');
    },
    done: () => undefined,
    failed: () => undefined,
    retryMs: 0,
  });
  changes.to('old');
  changes.to('new');
  await new Promise((go) => setTimeout(go, 20));
  expect(tried).toEqual(['old', 'new']);
  changes.to('old');
  await changes.stop();
  await new Promise((go) => setTimeout(go, 20));
  expect(tried).toEqual(['old', 'new', 'old']);
});

test('a link is known only when it is on disk, and is written when it is told again', async () => {
  const { facts, written } = failingFacts(1);
  const links = await openMoneyLinks(facts, () => undefined);
  await expect(links.add([link])).rejects.toThrow('disk full');
  expect(links.successorOf(parent.key)).toBeUndefined();
  await Promise.all([links.add([link]), links.add([link])]);
  expect(written).toHaveLength(1);
  expect(links.successorOf(parent.key)).toBe(link);
});

test('links that were learned while the disk failed are kept later, and nothing is rejected', async () => {
  const { facts, written } = failingFacts(2);
  const ending = await openHandoverMoney({
    label: 'node',
    self: 'node',
    facts,
    jobs: {} as never,
    authority: () => null,
    others: () => [],
    tell: () => undefined,
    unknownKey: () => undefined,
    ready: () => undefined,
    log: silentLog,
    pastRetryMs: 1,
  });
  ending.learned([link]);
  await vi.waitFor(() => expect(written).toHaveLength(1), { timeout: 20_000 });
  ending.stop();
});
