/** The contract of every vault store. Runs in Node and, bundled, in a real browser. */
import type { PlanRecord, SafeRecord, VaultStore } from '#storage/browser/vault-store.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const text = new TextEncoder();

const record = (id: string, usedAt: number): SafeRecord => ({
  id,
  owner: 'aa',
  fingerprint: 'one two three',
  network: null,
  device: bytes(1, 2, 3, 4, 5, 6, 7, 8),
  member: bytes(9, 9),
  envelope: bytes(1, 2, 3),
  version: '18446744073709551615',
  published: false,
  usedAt,
});
const plan = (id: string, owner: string): PlanRecord => ({ id, owner, sealed: bytes(5, 6) });

function same(actual: unknown, expected: unknown): void {
  const show = (value: unknown): string =>
    JSON.stringify(value, (_, v: unknown) =>
      v instanceof Uint8Array ? [...v] : v instanceof Map ? [...v.entries()] : v,
    ) ?? 'undefined';
  if (show(actual) !== show(expected)) {
    throw new Error(`expected ${show(expected)}, got ${show(actual)}`);
  }
}

/** By their names; each gets an empty store. */
export const steps: Readonly<Record<string, (store: VaultStore) => Promise<void>>> = {
  'a Safe is stored, replaced and deleted by its id': async (store) => {
    same(await store.listSafes(), []);
    await store.putSafe(record('b', 1));
    await store.putSafe(record('a', 2));
    await store.putSafe({ ...record('b', 3), published: true });
    same(await store.getSafe('b'), { ...record('b', 3), published: true });
    same((await store.listSafes()).map(({ id }) => id).sort(), ['a', 'b']);
    await store.deleteSafe('b');
    same(await store.getSafe('b'), undefined);
  },
  'a wrapped value unwraps only unchanged and with the same context': async (store) => {
    const secret = bytes(1, 2, 3, 4);
    const wrapped = await store.wrap(secret, text.encode('mine'));
    same(await store.unwrap(wrapped, text.encode('mine')), secret);
    same(await store.unwrap(wrapped, text.encode('yours')), null);
    for (let i = 0; i < wrapped.length; i++) {
      const bent = wrapped.slice();
      bent[i] = (bent[i] ?? 0) ^ 1;
      same(await store.unwrap(bent, text.encode('mine')), null);
    }
    same(await store.unwrap(bytes(), text.encode('mine')), null);
  },
  'concurrent first wraps use one key': async (store) => {
    const context = bytes();
    const wrapped = await Promise.all([1, 2, 3].map((n) => store.wrap(bytes(n), context)));
    const opened = await Promise.all(wrapped.map((each) => store.unwrap(each, context)));
    same(opened, [bytes(1), bytes(2), bytes(3)]);
  },
  'plans are listed by owner, and deleted with their pieces': async (store) => {
    for (const each of [plan('p', 'me'), plan('q', 'me'), plan('r', 'you')]) {
      await store.putPlan(each);
    }
    same((await store.listPlans('me')).map(({ id }) => id).sort(), ['p', 'q']);
    await store.markPiece('p', 0, bytes(7));
    await store.markPiece('p', 15_999, bytes(8));
    await store.markPiece('q', 1, bytes(9));
    const pieces = [...(await store.listPieces('p'))].sort(([a], [b]) => a - b);
    same(pieces, [
      [0, bytes(7)],
      [15_999, bytes(8)],
    ]);
    await store.deletePlan('p');
    same((await store.listPieces('p')).size, 0);
    same([...(await store.listPieces('q'))], [[1, bytes(9)]]);
    same(
      (await store.listPlans('me')).map(({ id }) => id),
      ['q'],
    );
  },
};
