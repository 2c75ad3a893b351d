/**
 * Goal: an elder shows whoever is behind what it lacks, in one answer of one page at most; a change
 * reaches each member from three elders. Method: elders of a toy network that know different parts of
 * one history; counted links and bytes.
 */
import { describe, expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  decodeProof,
  encodeProof,
  lookAt,
  maxProofBytes,
  pageFor,
  pagesFor,
  pushedBy,
  pushersOf,
  type Cover,
  type Known,
} from '#protocol/anti-entropy/index.ts';
import { maxChainLinks, type SectionProof } from '#protocol/section/index.ts';
import {
  both,
  genesis,
  grow,
  nameUnder,
  only,
  sign,
  succeed,
  type Living,
} from '../section/network.ts';
import { keyOf, knowing as knowingOf, learnProof } from './support.ts';

const born = genesis('entropy', 10);
const { anchor } = born;
const k1 = only(succeed(born, 'e1').children);
const [zero, one] = both(succeed(k1, 'e zero', 'e one').children);
const k4 = only(succeed(zero, 'e four').children);

const knowing = (...all: readonly Living[]) => knowingOf(anchor, ...all);
const viewOf = (own: Living, ...others: readonly Living[]): Known => ({
  tree: knowing(...others, own),
  own: sign(own, 0),
});

const alice = toXorName(sha256(utf8('alice')));
const inZero = nameUnder(parsePrefix('0') ?? EMPTY_PREFIX, 'a thing');
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'a thing');

const cover = (changes: Partial<Cover> = {}): Cover => ({
  destinationName: inZero,
  destinationKey: keyOf(zero),
  generation: zero.state.authority.generation,
  ...changes,
});

describe('proofs on the wire', () => {
  const whole = encodeProof(proofIn(lookAt(viewOf(zero), cover({ destinationKey: keyOf(k1) }))));

  test('a proof survives the wire, and nothing else does', () => {
    const decoded = decodeProof(whole);
    if (!decoded.ok) throw new Error('a proof');
    expect(encodeProof(decoded.value)).toEqual(whole);
    for (let at = 0; at < whole.length; at += 13) {
      expect(decodeProof(whole.slice(0, at)).ok).toBe(false);
    }
    expect(decodeProof(Uint8Array.of(...whole, 0)).ok).toBe(false);
  });

  test('more links than a page holds, and more bytes than a proof has, are malformed', () => {
    const [link] = zero.chain;
    if (link === undefined) throw new Error('a link');
    const links = Array.from({ length: maxChainLinks + 1 }, () => link);
    expect(decodeProof(encodeProof({ links, authority: null })).ok).toBe(false);
    const most = encodeProof({ links: links.slice(1), authority: null });
    expect(decodeProof(most).ok).toBe(true);
    expect(decodeProof(new Uint8Array(maxProofBytes + 1)).ok).toBe(false);
  });
});

describe('an elder looks at a cover', () => {
  test('E1: our name and our key: the message is handled, an older generation is noticed', () => {
    const view = viewOf(grow(zero));
    expect(lookAt(view, cover())).toEqual({ kind: 'accept', behind: true });
    const { generation } = view.own.authority;
    expect(lookAt(view, cover({ generation }))).toEqual({ kind: 'accept', behind: false });
  });

  test('E1: our name and an older key: retry with what followed that key, and no more', () => {
    const looked = lookAt(viewOf(zero), cover({ destinationKey: keyOf(k1) }));
    if (looked.kind !== 'retry') throw new Error('retry');
    expect(looked.proof.links).toEqual(zero.chain.slice(-1));
    expect(looked.proof.authority?.authority).toEqual(zero.state.authority);
    expect(encodeProof(looked.proof).length).toBeLessThan(8192);
  });

  test('E2: a name of another section: redirect to it, from where the two branches meet', () => {
    const looked = lookAt(viewOf(zero, one), cover({ destinationName: inOne }));
    if (looked.kind !== 'redirect') throw new Error('redirect');
    expect(looked.proof.authority?.authority).toEqual(one.state.authority);
    // The sender knows `zero`, so it knows the split: nothing but the authority is new to it.
    expect(learnProof(knowing(zero), looked.proof).sections.has('1')).toBe(true);
  });

  test('E2: with no other section known, redirect shows how that name and ours parted', () => {
    const view = { tree: { ...knowing(zero), sections: new Map() }, own: sign(zero, 0) };
    const asked = cover({ destinationName: inOne, destinationKey: anchor.genesisKey });
    const looked = lookAt(view, asked);
    if (looked.kind !== 'redirect') throw new Error('redirect');
    expect(looked.proof.links).toEqual(zero.chain);
  });

  test('E3, N31: an unknown key gets the newest record and nothing more', () => {
    const view = viewOf(zero, one);
    for (const destinationKey of [new Uint8Array(96), keyOf(k4), new Uint8Array(96).fill(9)]) {
      const looked = lookAt(view, cover({ destinationKey }));
      expect(looked).toEqual({ kind: 'newest', record: zero.chain.at(-1) });
    }
  });

  test('N31: however far behind a sender is, one message gets one page', () => {
    let last: Living = zero;
    for (let i = 0; i < 40; i++) last = only(succeed(last, `far ${i}`).children);
    const tree = last.chain.reduce(
      (before, link) => learnProof(before, { links: [link], authority: null }),
      knowing(),
    );
    const view: Known = {
      tree: learnProof(tree, { links: [], authority: sign(last, 0) }),
      own: sign(last, 0),
    };
    const looked = lookAt(view, cover({ destinationKey: anchor.genesisKey }));
    expect(proofIn(looked)).toEqual({ links: last.chain.slice(0, maxChainLinks), authority: null });
    expect(encodeProof(proofIn(looked)).length).toBeLessThan(10_000);
    // All of it takes three questions.
    expect(pagesFor(view.tree, anchor.genesisKey, view.own)).toHaveLength(3);
  });
});

describe('N35: who tells whom', () => {
  const { authority } = zero.state;

  test('three elders for each receiver, the same for everybody, another three next time', () => {
    const chosen = pushersOf(authority, alice).map(toHex);
    expect(new Set(chosen).size).toBe(3);
    expect(pushersOf(authority, alice).map(toHex)).toEqual(chosen);
    const times = Array.from({ length: 20 }, (_, g) =>
      pushersOf({ ...authority, generation: BigInt(g) }, alice)
        .map(toHex)
        .join(),
    );
    expect(new Set(times).size).toBeGreaterThan(5);
  });

  test('budget: a change costs three messages per member, and nothing for whoever knows it', () => {
    const sent = authority.elders.flatMap(({ name }) => pushedBy(authority, name));
    const count = (who: Uint8Array): number => sent.filter((name) => equalBytes(name, who)).length;
    for (const { name } of authority.members) {
      const isElder = authority.elders.some((elder) => equalBytes(elder.name, name));
      expect(count(name)).toBeGreaterThanOrEqual(isElder ? 2 : 3);
      expect(count(name)).toBeLessThanOrEqual(3);
    }
    expect(pageFor(knowing(zero), keyOf(zero), sign(zero, 0)).links).toEqual([]);
    expect(pageFor(knowing(zero), keyOf(k1), sign(zero, 0)).links).toHaveLength(1);
  });
});

function proofIn(looked: ReturnType<typeof lookAt>): SectionProof {
  if (looked.kind !== 'retry' && looked.kind !== 'redirect') throw new Error(looked.kind);
  return looked.proof;
}
