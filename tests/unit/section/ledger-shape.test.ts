/**
 * Goal: whatever ledger a section can agree on has one encoding that every node reads back, up to
 * the largest one that the rules allow; no field is left out of the root; and bytes that a peer made
 * up are refused or are the one encoding of another ledger.
 * Method: ledgers made by their shape, every field of one changed in turn, every bit of its bytes.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toXorName } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { maxConsumed, maxDeparted, maxMoving, maxSessions } from '#protocol/membership/rules.ts';
import {
  decodeLedger,
  ELDER_COUNT,
  encodeLedger,
  ledgerRootOf,
  maxLedgerBytes,
  type SectionLedger,
} from '#protocol/section/index.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const hash = bytes(32);
const name = hash.map(toXorName);
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const u8 = fc.nat(255);
const upTo = <T>(of: fc.Arbitrary<T>, maxLength: number) => fc.array(of, { maxLength });
const exactly = <T>(of: fc.Arbitrary<T>, length: number) =>
  fc.array(of, { minLength: length, maxLength: length });
const prefix = fc.record({ bitCount: u8, bits: hash });

const moving = fc.record({
  name,
  age: u8,
  destination: hash,
  generation: u64,
  reason: fc.constantFrom('reward' as const, 'demotion' as const),
});
const used = fc.record({ ticket: hash, sourceEpoch: u64 });
const session = fc.record({
  id: hash,
  opened: u64,
  children: upTo(fc.record({ prefix, candidates: upTo(name, ELDER_COUNT) }), 2),
});
const dealings = exactly(fc.option(hash), ELDER_COUNT);
const sharingKeys = exactly(hash, ELDER_COUNT);
const charter = fc
  .record({
    networkId: hash,
    prefix,
    key: bytes(96),
    epoch: u64,
    elders: exactly(fc.record({ name, publicShare: bytes(96) }), ELDER_COUNT),
  })
  .map((made) => ({
    ...made,
    // A place in the list and no field of the bytes.
    elders: made.elders.map((elder, at) => ({ ...elder, index: at + 1 })),
  }));
const closingWith = (children: number) =>
  fc.record({
    kind: fc.constant('closing' as const),
    sessionId: hash,
    charters: exactly(charter, children),
    lists: exactly(dealings, children),
  });
const sealedWith = (
  children: number,
  snapshots: fc.Arbitrary<{ elder: number; root: Uint8Array }[]>,
) =>
  fc.tuple(closingWith(children), snapshots, hash).map(([closing, roots, sealedRoot]) => ({
    ...closing,
    kind: 'sealed' as const,
    snapshots: roots,
    sealedRoot,
  }));
const snapshot = fc.record({ elder: u8, root: hash });
const open = fc.constant({ kind: 'open' as const });

const aLedger: fc.Arbitrary<SectionLedger> = fc.record({
  activated: u64,
  places: fc.nat(0xffff_ffff),
  sessions: upTo(session, maxSessions),
  moving: upTo(moving, 3),
  consumed: upTo(used, 3),
  departed: upTo(name, 3),
  origin: fc.option(fc.record({ session: hash, child: u8, list: dealings, sharingKeys })),
  phase: fc.oneof(
    open,
    closingWith(1),
    closingWith(2),
    sealedWith(1, upTo(snapshot, ELDER_COUNT)),
    sealedWith(2, upTo(snapshot, ELDER_COUNT)),
  ),
  churnId: hash,
});

/** One ledger with something in every list. */
const fullLedger: fc.Arbitrary<SectionLedger> = fc.record({
  activated: u64,
  places: fc.nat(0xffff_ffff),
  sessions: exactly(
    fc.record({
      id: hash,
      opened: u64,
      children: exactly(fc.record({ prefix, candidates: exactly(name, ELDER_COUNT) }), 2),
    }),
    maxSessions,
  ),
  moving: exactly(moving, maxMoving),
  consumed: exactly(used, maxConsumed),
  departed: exactly(name, maxDeparted),
  origin: fc.record({
    session: hash,
    child: u8,
    list: exactly(hash, ELDER_COUNT),
    sharingKeys,
  }),
  phase: sealedWith(2, exactly(snapshot, ELDER_COUNT)),
  churnId: hash,
});

const sample = <T>(of: fc.Arbitrary<T>, seed: number): T => {
  const [value] = fc.sample(of, { seed, numRuns: 1 });
  if (value === undefined) throw new Error('a sample');
  return value;
};
const few = (ledger: SectionLedger): SectionLedger => ({
  ...ledger,
  moving: ledger.moving.slice(0, 2),
  consumed: ledger.consumed.slice(0, 2),
  departed: ledger.departed.slice(0, 2),
});

interface Change {
  readonly path: string;
  readonly value: unknown;
}

/** Every value that differs from this one in one field, one list entry more or less, or one bit. */
function* changesOf(value: unknown, path: string): Generator<Change> {
  if (typeof value === 'bigint') yield { path, value: value ^ 1n };
  else if (typeof value === 'number') yield { path, value: value ^ 1 };
  else if (value === 'reward') yield { path, value: 'demotion' };
  else if (value === 'demotion') yield { path, value: 'reward' };
  else if (value instanceof Uint8Array) {
    for (const at of [0, value.length - 1]) {
      yield { path: `${path}[${at}]`, value: value.map((byte, i) => (i === at ? byte ^ 1 : byte)) };
    }
  } else if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) {
      for (const change of changesOf(item, `${path}.${at}`)) {
        yield { ...change, value: value.with(at, change.value) };
      }
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, field] of Object.entries(value)) {
      if (key === 'kind' || key === 'index') continue;
      for (const change of changesOf(field, `${path}.${key}`)) {
        yield { ...change, value: { ...value, [key]: change.value } };
      }
    }
  }
}

/** Lists whose length is not fixed by the shape lose an entry. */
function* shorterOf(ledger: SectionLedger): Generator<Change> {
  for (const key of ['sessions', 'moving', 'consumed', 'departed'] as const) {
    yield { path: `${key} shorter`, value: { ...ledger, [key]: ledger[key].slice(1) } };
  }
  yield { path: 'no origin', value: { ...ledger, origin: null } };
  const { phase } = ledger;
  if (phase.kind !== 'sealed') return;
  const { snapshots, sealedRoot: _, ...rest } = phase;
  yield {
    path: 'snapshots shorter',
    value: { ...ledger, phase: { ...phase, snapshots: snapshots.slice(1) } },
  };
  yield { path: 'closing', value: { ...ledger, phase: { ...rest, kind: 'closing' } } };
  yield { path: 'open', value: { ...ledger, phase: { kind: 'open' } } };
  for (const at of [0, 1]) {
    const lists = phase.lists.map((list, i) => (i === at ? list.with(3, null) : list));
    yield { path: `no dealing in ${at}`, value: { ...ledger, phase: { ...phase, lists } } };
  }
}

describe('a ledger', () => {
  test('of every shape comes back as it was', () => {
    fc.assert(
      fc.property(aLedger, (ledger) => {
        expect(decodeLedger(encodeLedger(ledger))).toEqual({ ok: true, value: ledger });
      }),
      { seed: 5, numRuns: 200 },
    );
  });

  test('as large as the rules of membership let it become is read by every node', () => {
    const largest = encodeLedger(sample(fullLedger, 1));
    expect(largest.length).toBeLessThanOrEqual(maxLedgerBytes);
    const decoded = decodeLedger(largest);
    expect(decoded.ok && equalBytes(encodeLedger(decoded.value), largest)).toBe(true);
  });

  test('has another root after each change of one field, and is read back with the change', () => {
    const ledger = few(sample(fullLedger, 2));
    const seen = new Map([[toHex(ledgerRootOf(ledger)), 'unchanged']]);
    let count = 0;
    for (const { path, value } of [...changesOf(ledger, ''), ...shorterOf(ledger)]) {
      const changed = value as SectionLedger;
      const root = toHex(ledgerRootOf(changed));
      expect(seen.get(root), `${path} has the root of another ledger`).toBeUndefined();
      seen.set(root, path);
      expect(decodeLedger(encodeLedger(changed)), path).toEqual({ ok: true, value: changed });
      count += 1;
    }
    // Something of every kind was changed.
    expect(count).toBeGreaterThan(250);
  });

  test('with any one bit of its bytes changed is refused or is the one encoding of another', () => {
    const ledger = few(sample(fullLedger, 3));
    const encoded = encodeLedger(ledger);
    const root = toHex(ledgerRootOf(ledger));
    let refused = 0;
    for (let bit = 0; bit < encoded.length * 8; bit += 3) {
      const changed = encoded.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const decoded = decodeLedger(changed);
      if (!decoded.ok) {
        refused += 1;
        continue;
      }
      if (!equalBytes(encodeLedger(decoded.value), changed)) throw new Error(`bit ${bit}`);
      expect(toHex(ledgerRootOf(decoded.value)), `bit ${bit}`).not.toBe(root);
    }
    expect(refused).toBeGreaterThan(0);
  });

  test('with counts that its bytes do not hold is refused, cut at every byte, and never throws', () => {
    const encoded = encodeLedger(few(sample(fullLedger, 4)));
    for (let at = 0; at < encoded.length; at++) {
      expect(decodeLedger(encoded.subarray(0, at)).ok, `cut at ${at}`).toBe(false);
      const wild = encoded.slice();
      wild.fill(0xff, at, at + 4);
      const decoded = decodeLedger(wild);
      if (decoded.ok) expect(equalBytes(encodeLedger(decoded.value), wild)).toBe(true);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), (noise) => {
        expect(decodeLedger(noise).ok).toBe(false);
      }),
      { seed: 6, numRuns: 300 },
    );
  });
});
