/**
 * Goal: the ledger, sealed states, records and relocation certificates have one encoding each,
 * every field counts, and the next key's first state follows from the last state alone. Method: a
 * ledger with something in every field, altered bytes, and several handovers of one toy section.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { child, EMPTY_PREFIX, matches } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { concat, toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  withLedgerRoot,
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
  sessionIdOf,
  signedAuthorityOf,
  successorRecordOf,
  firstStateOf,
  relocationBytes,
  relocationId,
  verifySignedAuthority,
  type RelocationDetails,
  type SectionLedger,
} from '#protocol/section/index.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import { both, genesis, grow, nameUnder, only, sign, succeed } from './network.ts';

const hash = (text: string): Uint8Array => sha256(utf8(text));
const name = (word: string) => nameUnder(EMPTY_PREFIX, word);
const genesisSection = genesis('ledger', 40);
const { networkId, key } = genesisSection.state.authority;

const relocation: RelocationDetails = {
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
  charters: [charterOf(genesisSection.state.authority)],
  lists: [[hash('d1'), null, hash('d3'), hash('d4'), hash('d5'), null, hash('d7')]],
};
const full: SectionLedger = {
  activated: 2n,
  vacancies: 3,
  sessions: [session],
  relocating: [relocation],
  usedCertificates: [{ certificateId: hash('ticket'), sourceEpoch: 9n }],
  formerNames: [name('gone')],
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
  test('every phase round-trips', () => {
    for (const ledger of [emptyLedger, full, { ...full, phase: closing }]) {
      expect(decodeLedger(encodeLedger(ledger))).toEqual({ ok: true, value: ledger });
    }
  });

  test('every field changes the root', () => {
    const changes: readonly Partial<SectionLedger>[] = [
      { activated: 3n },
      { vacancies: 4 },
      { sessions: [] },
      { sessions: [{ ...session, opened: 5n }] },
      { relocating: [{ ...relocation, age: 8 }] },
      { relocating: [{ ...relocation, reason: 'demotion' }] },
      { usedCertificates: [] },
      { formerNames: [name('other')] },
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

  test('altered bytes are rejected or decode to another ledger, and never throw', () => {
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

  test('N12, N38: session and relocation ids cover network, key, epoch and every prefix bit', () => {
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
    const certificates = [
      relocationId(networkId, relocation),
      relocationId(hash('other'), relocation),
      ...[{ age: 8 }, { generation: 4n }, { destination: hash('x') }, { name: name('x') }].map(
        (change) => relocationId(networkId, { ...relocation, ...change }),
      ),
    ];
    expect(new Set(certificates.map(toHex)).size).toBe(certificates.length);
    expect(relocationBytes(networkId, relocation)).not.toEqual(relocationId(networkId, relocation));
  });
});

describe('sealed state and successor', () => {
  const { sealed, link, children: next } = succeed(genesisSection, 'left', 'right');
  const [left, right] = both(next);

  test('a sealed state verifies with its own ledger only', () => {
    const state = { state: left.state, ...pick(sign(left)) };
    const bytes = encodeSealedState(state);
    const decoded = decodeSealedState(bytes);
    if (!decoded.ok) throw new Error('malformed');
    const { authority, ledger } = decoded.value.state;
    const signed = signedAuthorityOf(decoded.value);
    expect(verifySignedAuthority(toySuite, genesisSection.anchor, signed).ok).toBe(true);
    expect(ledgerRootOf(ledger)).toEqual(authority.ledgerRoot);
    expect(ledgerRootOf({ ...ledger, vacancies: 9 })).not.toEqual(authority.ledgerRoot);
    expect(authority).toMatchObject({ epoch: 1n, generation: 3n });
    expect(signed.chain[0]?.record.parentKey).toEqual(key);
    expect(decodeSealedState(bytes.slice(1)).ok).toBe(false);
  });

  test('N20: a sealed state has one successor record, any other state has none', () => {
    expect(successorRecordOf(sealed)).toEqual(link.record);
    expect(successorRecordOf(genesisSection.state)).toBeUndefined();
    expect(firstStateOf(genesisSection.state, key)).toBeUndefined();
    expect(link.record.finalGeneration).toBe(1n);
    expect(decodeSuccessor(encodeSuccessor(link))).toEqual({ ok: true, value: link });
    expect(link.record.children.map((each) => toHex(each.charterHash))).toEqual(
      [left, right].map(({ state }) => toHex(charterHash(charterOf(state.authority)))),
    );
  });

  test('N24: the children split the members, and both inherit the used certificates', () => {
    const { authority, ledger } = sealed;
    const used = [{ certificateId: hash('used'), sourceEpoch: 1n }];
    const busy = withLedgerRoot({
      authority,
      ledger: {
        ...ledger,
        usedCertificates: used,
        relocating: [relocation],
        formerNames: [toXorName(hash('d'))],
      },
    });
    const incoming = [left, right].map(({ state }) => firstStateOf(busy, state.authority.key));
    expect(incoming.map((elder) => elder?.ledger.usedCertificates)).toEqual([used, used]);
    expect(incoming.flatMap((elder) => elder?.ledger.relocating ?? [])).toEqual([relocation]);
    const members = incoming.flatMap((elder) => elder?.authority.members ?? []);
    expect(members).toHaveLength(authority.members.length);
    for (const successor of incoming) {
      if (successor === undefined) throw new Error('a child');
      expect(successor.authority).toMatchObject({
        epoch: 1n,
        generation: authority.generation + 1n,
      });
      expect(successor.ledger).toMatchObject({
        activated: authority.generation + 1n,
        sessions: [],
      });
      expect(
        successor.authority.members.every((each) => matches(successor.authority.prefix, each.name)),
      ).toBe(true);
    }
    expect(firstStateOf(busy, new Uint8Array(96))).toBeUndefined();
  });

  test('after three handovers the records still prove a section', () => {
    let last = grow(left);
    for (const text of ['one', 'two', 'three']) last = only(succeed(last, text).children);
    expect(verifySignedAuthority(toySuite, genesisSection.anchor, sign(last)).ok).toBe(true);
  });
});

const pick = ({ signature, chain }: ReturnType<typeof sign>) => ({ signature, chain });
