/**
 * Goal: the ledger, sealed states, records and tickets have one encoding each, every field counts,
 * and the next key's first state follows from the last state alone. Method: a ledger with something
 * in every field, hostile bytes, and the life of one toy section.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { child, EMPTY_PREFIX, matches } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { concat, toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  bindLedger,
  charterHash,
  charterOf,
  decodeLedger,
  decodeSealedState,
  decodeSuccessor,
  emptyLedger,
  encodeLedger,
  encodeSealedState,
  encodeSuccessor,
  ledgerRootOf,
  maxLedgerBytes,
  sealedHead,
  sessionIdOf,
  successorRecordOf,
  successorState,
  ticketBytes,
  ticketId,
  verifySealedState,
  type Moving,
  type SectionLedger,
} from '#protocol/section/index.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import { both, genesis, grow, nameUnder, only, sign, succeed } from './network.ts';

const hash = (word: string): Uint8Array => sha256(utf8(word));
const name = (word: string) => nameUnder(EMPTY_PREFIX, word);
const born = genesis('ledger', 40);
const { networkId, key } = born.state.authority;

const moving: Moving = {
  name: name('mover'),
  age: 7,
  destination: hash('there'),
  generation: 3n,
  reason: 'reward',
};
const children = [
  { prefix: EMPTY_PREFIX, candidates: ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(name) },
];
const session = {
  id: sessionIdOf(networkId, key, 0n, { opened: 4n, children }),
  opened: 4n,
  children,
};
const closing = {
  kind: 'closing' as const,
  sessionId: session.id,
  charters: [charterOf(born.state.authority)],
  lists: [[hash('d1'), null, hash('d3'), hash('d4'), hash('d5'), null, hash('d7')]],
};
const full: SectionLedger = {
  activated: 2n,
  places: 3,
  sessions: [session],
  moving: [moving],
  consumed: [{ ticket: hash('ticket'), sourceEpoch: 9n }],
  departed: [name('gone')],
  origin: {
    session: hash('made'),
    child: 1,
    list: [1, 2, 3, 4, 5, 6, 7].map((n) => hash(`o${n}`)),
    sharingKeys: [1, 2, 3, 4, 5, 6, 7].map((n) => hash(`k${n}`)),
  },
  phase: {
    ...closing,
    kind: 'sealed',
    snapshots: [1, 2, 3, 4, 5].map((elder) => ({ elder, root: hash(`${elder}`) })),
    sealedRoot: hash('sealed'),
  },
  churnId: hash('churn'),
};

describe('ledger', () => {
  test('every phase survives the wire', () => {
    for (const ledger of [emptyLedger, full, { ...full, phase: closing }]) {
      expect(decodeLedger(encodeLedger(ledger))).toEqual({ ok: true, value: ledger });
    }
  });

  test('every field changes the root', () => {
    const changes: readonly Partial<SectionLedger>[] = [
      { activated: 3n },
      { places: 4 },
      { sessions: [] },
      { sessions: [{ ...session, opened: 5n }] },
      { moving: [{ ...moving, age: 8 }] },
      { moving: [{ ...moving, reason: 'demotion' }] },
      { consumed: [] },
      { departed: [name('other')] },
      { origin: null },
      { origin: { ...full.origin!, sharingKeys: [...full.origin!.sharingKeys].reverse() } },
      { phase: { ...closing, lists: [closing.lists[0]!.slice().reverse()] } },
      { churnId: hash('other') },
      { phase: closing },
      { phase: { kind: 'open' } },
    ];
    const roots = [full, ...changes.map((change) => ({ ...full, ...change }))].map(ledgerRootOf);
    expect(new Set(roots.map(toHex)).size).toBe(changes.length + 1);
  });

  test('hostile bytes are refused or are another ledger, and never throw', () => {
    const bytes = encodeLedger(full);
    for (let at = 0; at < bytes.length; at += 11) {
      expect(decodeLedger(bytes.slice(0, at)).ok).toBe(false);
    }
    expect(decodeLedger(concat(bytes, new Uint8Array(1))).ok).toBe(false);
    expect(decodeLedger(new Uint8Array(maxLedgerBytes + 1)).ok).toBe(false);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = bytes.map((byte, i) => (i === at ? byte ^ mask : byte));
        const decoded = decodeLedger(changed);
        if (decoded.ok) expect(encodeLedger(decoded.value)).toEqual(changed);
      }),
    );
  });

  test('N12, N38: sessions and tickets name network, key, epoch and every bit of their prefixes', () => {
    const other = [{ prefix: child(EMPTY_PREFIX, 0), candidates: children[0]?.candidates ?? [] }];
    const ids = [
      sessionIdOf(networkId, key, 0n, { opened: 4n, children }),
      sessionIdOf(networkId, key, 1n, { opened: 4n, children }),
      sessionIdOf(networkId, key, 0n, { opened: 5n, children }),
      sessionIdOf(hash('other'), key, 0n, { opened: 4n, children }),
      // "0" and "()" have the same bits: only the count differs.
      sessionIdOf(networkId, key, 0n, { opened: 4n, children: other }),
    ];
    expect(new Set(ids.map(toHex)).size).toBe(ids.length);
    const tickets = [
      ticketId(networkId, moving),
      ticketId(hash('other'), moving),
      ...[{ age: 8 }, { generation: 4n }, { destination: hash('x') }, { name: name('x') }].map(
        (change) => ticketId(networkId, { ...moving, ...change }),
      ),
    ];
    expect(new Set(tickets.map(toHex)).size).toBe(tickets.length);
    expect(ticketBytes(networkId, moving)).not.toEqual(ticketId(networkId, moving));
  });
});

describe('sealed state and successor', () => {
  const { sealed, link, children: next } = succeed(born, 'left', 'right');
  const [left, right] = both(next);

  test('A sealed state proves itself with its ledger, and not with another', () => {
    const state = { state: left.state, ...pick(sign(left)) };
    const bytes = encodeSealedState(state);
    const decoded = decodeSealedState(bytes);
    if (!decoded.ok) throw new Error('malformed');
    expect(verifySealedState(toySuite, born.anchor, decoded.value).ok).toBe(true);
    const lie = { ...state, state: { ...left.state, ledger: { ...left.state.ledger, places: 9 } } };
    expect(verifySealedState(toySuite, born.anchor, lie)).toMatchObject({
      error: { kind: 'wrongLedger' },
    });
    expect(sealedHead(bytes)).toMatchObject({ epoch: 1n, generation: 3n, firstParent: key });
    expect(decodeSealedState(bytes.slice(1)).ok).toBe(false);
  });

  test('N20: one record follows from a sealed state, none from any other', () => {
    expect(successorRecordOf(sealed)).toEqual(link.record);
    expect(successorRecordOf(born.state)).toBeUndefined();
    expect(successorState(born.state, key)).toBeUndefined();
    expect(link.record.finalGeneration).toBe(1n);
    expect(decodeSuccessor(encodeSuccessor(link))).toEqual({ ok: true, value: link });
    expect(link.record.children.map((each) => toHex(each.charterHash))).toEqual(
      [left, right].map(({ state }) => toHex(charterHash(charterOf(state.authority)))),
    );
  });

  test('N24: the children share out the members, and both inherit the used tickets', () => {
    const { authority, ledger } = sealed;
    const used = [{ ticket: hash('used'), sourceEpoch: 1n }];
    const busy = bindLedger({
      authority,
      ledger: { ...ledger, consumed: used, moving: [moving], departed: [toXorName(hash('d'))] },
    });
    const heirs = [left, right].map(({ state }) => successorState(busy, state.authority.key));
    expect(heirs.map((heir) => heir?.ledger.consumed)).toEqual([used, used]);
    expect(heirs.flatMap((heir) => heir?.ledger.moving ?? [])).toEqual([moving]);
    const members = heirs.flatMap((heir) => heir?.authority.members ?? []);
    expect(members).toHaveLength(authority.members.length);
    for (const heir of heirs) {
      if (heir === undefined) throw new Error('a child');
      expect(heir.authority).toMatchObject({ epoch: 1n, generation: authority.generation + 1n });
      expect(heir.ledger).toMatchObject({ activated: authority.generation + 1n, sessions: [] });
      expect(
        heir.authority.members.every((each) => matches(heir.authority.prefix, each.name)),
      ).toBe(true);
    }
    expect(successorState(busy, new Uint8Array(96))).toBeUndefined();
  });

  test('a section that hands over three times is still proved by its records', () => {
    let last = grow(left);
    for (const word of ['one', 'two', 'three']) last = only(succeed(last, word).children);
    const state = { state: last.state, ...pick(sign(last)) };
    expect(verifySealedState(toySuite, born.anchor, state).ok).toBe(true);
  });
});

const pick = ({ signature, chain }: ReturnType<typeof sign>) => ({ signature, chain });
