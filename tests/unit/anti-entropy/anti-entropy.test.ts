/**
 * Goal: one answer of at most one page contains what an outdated sender lacks; a change reaches
 * each member from three elders. Method: elders of a toy network with different knowledge of one
 * history; counted links and bytes.
 */
import { describe, expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  decodeProof,
  encodeProof,
  checkDestination,
  maxProofBytes,
  chainPageFor,
  pushedBy,
  pushersOf,
  type MessageDestination,
  type SectionKnowledge,
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
  type TestSection,
} from '../section/network.ts';
import { keyOf, knowing as knowingOf, learnProof } from './support.ts';
import { pagesFor } from '../../support/known-sections.ts';

const genesisSection = genesis('entropy', 10);
const { anchor } = genesisSection;
const k1 = only(succeed(genesisSection, 'e1').children);
const [zero, one] = both(succeed(k1, 'e zero', 'e one').children);
const k4 = only(succeed(zero, 'e four').children);

const knowing = (...all: readonly TestSection[]) => knowingOf(anchor, ...all);
const viewOf = (own: TestSection, ...others: readonly TestSection[]): SectionKnowledge => ({
  tree: knowing(...others, own),
  own: sign(own, 0),
});

const alice = toXorName(sha256(utf8('alice')));
const inZero = nameUnder(parsePrefix('0') ?? EMPTY_PREFIX, 'a thing');
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'a thing');

const destination = (changes: Partial<MessageDestination> = {}): MessageDestination => ({
  destinationName: inZero,
  destinationKey: keyOf(zero),
  generation: zero.state.authority.generation,
  ...changes,
});

describe('proofs on the wire', () => {
  const whole = encodeProof(
    proofIn(checkDestination(viewOf(zero), destination({ destinationKey: keyOf(k1) }))),
  );

  test('a proof survives its encoding, and malformed bytes do not decode', () => {
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

describe('an elder checks the destination', () => {
  test('ANTI-ENTROPY-E1: our name and key → the message is accepted, an older generation is noted', () => {
    const view = viewOf(grow(zero));
    expect(checkDestination(view, destination())).toEqual({ kind: 'accept', behind: true });
    const { generation } = view.own.authority;
    expect(checkDestination(view, destination({ generation }))).toEqual({
      kind: 'accept',
      behind: false,
    });
  });

  test('ANTI-ENTROPY-E1: our name and an older key → retry with only the links after that key', () => {
    const check = checkDestination(viewOf(zero), destination({ destinationKey: keyOf(k1) }));
    if (check.kind !== 'retry') throw new Error('retry');
    expect(check.proof.links).toEqual(zero.chain.slice(-1));
    expect(check.proof.authority?.authority).toEqual(zero.state.authority);
    expect(encodeProof(check.proof).length).toBeLessThan(8192);
  });

  test('ANTI-ENTROPY-E2: a name of another section → redirect to it, from the common ancestor of both branches', () => {
    const check = checkDestination(viewOf(zero, one), destination({ destinationName: inOne }));
    if (check.kind !== 'redirect') throw new Error('redirect');
    expect(check.proof.authority?.authority).toEqual(one.state.authority);
    // The sender knows `zero` and therefore the split: only the authority is new to it.
    expect(learnProof(knowing(zero), check.proof).sections.has('1')).toBe(true);
  });

  test('ANTI-ENTROPY-E2: no other section known → redirect proves where the name’s branch and ours part', () => {
    const view = { tree: { ...knowing(zero), sections: new Map() }, own: sign(zero, 0) };
    const asked = destination({ destinationName: inOne, destinationKey: anchor.genesisKey });
    const check = checkDestination(view, asked);
    if (check.kind !== 'redirect') throw new Error('redirect');
    expect(check.proof.links).toEqual(zero.chain);
  });

  test('ANTI-ENTROPY-E3, N31: an unknown key → only the newest record', () => {
    const view = viewOf(zero, one);
    for (const destinationKey of [new Uint8Array(96), keyOf(k4), new Uint8Array(96).fill(9)]) {
      const check = checkDestination(view, destination({ destinationKey }));
      expect(check).toEqual({ kind: 'unknownKey', record: zero.chain.at(-1) });
    }
  });

  test('N31: however outdated a sender is, one message gets one page', () => {
    let last: TestSection = zero;
    for (let i = 0; i < 40; i++) last = only(succeed(last, `far ${i}`).children);
    const tree = last.chain.reduce(
      (before, link) => learnProof(before, { links: [link], authority: null }),
      knowing(),
    );
    const view: SectionKnowledge = {
      tree: learnProof(tree, { links: [], authority: sign(last, 0) }),
      own: sign(last, 0),
    };
    const check = checkDestination(view, destination({ destinationKey: anchor.genesisKey }));
    expect(proofIn(check)).toEqual({ links: last.chain.slice(0, maxChainLinks), authority: null });
    expect(encodeProof(proofIn(check)).length).toBeLessThan(10_000);
    // The whole path takes three requests.
    expect(pagesFor(view.tree, anchor.genesisKey, view.own)).toHaveLength(3);
  });
});

describe('N35: which elders push to which member', () => {
  const { authority } = zero.state;

  test('three elders per receiver, the same on every node, and others for another generation', () => {
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

  test('budget: three messages per member per change, none if known', () => {
    const sent = authority.elders.flatMap(({ name }) => pushedBy(authority, name));
    const count = (who: Uint8Array): number => sent.filter((name) => equalBytes(name, who)).length;
    for (const { name } of authority.members) {
      const isElder = authority.elders.some((elder) => equalBytes(elder.name, name));
      expect(count(name)).toBeGreaterThanOrEqual(isElder ? 2 : 3);
      expect(count(name)).toBeLessThanOrEqual(3);
    }
    expect(chainPageFor(knowing(zero), keyOf(zero), sign(zero, 0)).links).toEqual([]);
    expect(chainPageFor(knowing(zero), keyOf(k1), sign(zero, 0)).links).toHaveLength(1);
  });
});

function proofIn(check: ReturnType<typeof checkDestination>): SectionProof {
  if (check.kind !== 'retry' && check.kind !== 'redirect') throw new Error(check.kind);
  return check.proof;
}
