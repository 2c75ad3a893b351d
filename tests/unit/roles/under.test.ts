/**
 * Goal: a client that is behind is led to the right section by what elders refuse it with, believes
 * nothing unproven, and is not led back. Method: elders and a light client of a toy network that
 * hands over and splits, all bytes through their codecs.
 */
import { describe, expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { concat, equalBytes } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  decodeProof,
  encodeProof,
  openFollowing,
  openReading,
  stepFollowing,
  turnPage,
  type FollowEvent,
  type Reading,
  type Turned,
} from '#protocol/anti-entropy/index.ts';
import {
  emptyTree,
  learn,
  newestKey,
  performVerifyUpdate,
  planUpdate,
  proofOf,
  sectionFor,
  sectionsOf,
  storedUpdate,
  trustFor,
  type SectionTree,
} from '#protocol/section/index.ts';
import {
  decodePins,
  encodePins,
  follow,
  openPins,
  pin,
  verifiedEpoch,
  type Pins,
} from '#roles/light-client/pins.ts';
import {
  decodeDoorRequest,
  encodeClientRequest,
  encodeCover,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { openUnder, proofFor, type UnderView } from '#roles/wire/under.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import { both, genesis, nameUnder, only, sign, succeed, type Living } from '../section/network.ts';

const born = genesis('under', 4);
const { anchor } = born;
const k1 = only(succeed(born, 'u1').children);
const [zero, one] = both(succeed(k1, 'u zero', 'u one').children);

const told = (tree: SectionTree, living: Living): SectionTree => {
  const plan = planUpdate(tree, proofOf(sign(living)));
  if (plan.kind !== 'verify') return tree;
  const verified = performVerifyUpdate(toySuite, plan.job);
  return verified.ok ? learn(tree, verified.value).tree : tree;
};
const viewOf = (own: Living, ...others: readonly Living[]): UnderView => ({
  tree: [...others, own].reduce(told, emptyTree(anchor)),
  own: sign(own, 0),
});
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'chunk');

/** What a worker does with a refusal: checks, pins, or stays as it was. */
function heed(pins: Pins, proof: Uint8Array): Pins {
  const decoded = decodeProof(proof);
  if (!decoded.ok) throw new Error('malformed');
  const plan = follow(pins, decoded.value);
  if (plan.kind !== 'verify') return pins;
  const verified = performVerifyUpdate(toySuite, plan.job);
  return verified.ok ? pin(pins, verified.value).pins : pins;
}

/** Sends one request and follows as the light node does, through the codecs, until an elder takes it. */
function send(
  pins: Pins,
  views: ReadonlyMap<Living, UnderView>,
  request: ClientRequest,
  name: Uint8Array,
) {
  let now = pins;
  let pages = 0;
  const anybody = [...views.keys()].at(-1) ?? zero;
  const livingOf = (elder: Uint8Array): Living =>
    [...views.keys()].find(({ state }) =>
      state.authority.elders.some((each) => equalBytes(each.name, elder)),
    ) ?? anybody;
  const viewOfElder = (elder: Uint8Array): UnderView => views.get(livingOf(elder)) ?? viewOf(zero);
  const section = sectionFor(now.tree, name) ?? anybody.state.authority;
  const first = section.elders[0]?.name ?? name;
  let following = openFollowing(now.tree, name, sha256(encodeClientRequest(request)), first);
  for (;;) {
    const { to, key, hops } = following;
    const opened = openUnder(viewOfElder(to), underCover(key, request));
    if (opened.ok) return { pins: now, hops, pages, living: livingOf(to) };
    if (opened.error.kind !== 'retry' && opened.error.kind !== 'redirect')
      throw new Error('lead on');
    const proof = decodeProof(opened.error.proof);
    let event: FollowEvent = { kind: 'refused', proof: proof.ok ? proof.value : null };
    for (;;) {
      const view = { tree: now.tree, isReached: () => true };
      const step = stepFollowing(view, following, event);
      if (step.kind === 'giveUp') throw new Error('given up');
      if (step.kind === 'send') {
        ({ following } = step);
        break;
      }
      if (step.kind === 'check') {
        now = heed(now, encodeProof(step.proof));
        event = { kind: 'checked', holds: true };
        continue;
      }
      let turned: Turned = { kind: 'ask', reading: openReading(now.tree, name) };
      while (turned.kind === 'ask') {
        const { reading }: { readonly reading: Reading } = turned;
        const page = proofFor(viewOfElder(to), name, reading.from).proof;
        now = heed(now, page);
        pages += 1;
        const decoded = decodeProof(page);
        turned = turnPage(now.tree, reading, decoded.ok ? decoded.value : null);
      }
      event = { kind: 'read' };
    }
  }
}

function underCover(key: Uint8Array, request: ClientRequest) {
  const inside = encodeClientRequest(request);
  const cover = encodeCover({ kind: 'under', key, generation: 0n, request: inside });
  const decoded = decodeDoorRequest(cover);
  if (!decoded.ok || decoded.value.kind !== 'under') throw new Error('a cover');
  return decoded.value;
}

describe('following', () => {
  const views = new Map([zero, one].map((each) => [each, viewOf(each, zero, one)]));
  const request = { kind: 'getChunk', name: inOne, avoid: [] } as const;

  test('N30: with the genesis key alone a request finds the right half after a split', () => {
    const sent = send(openPins(anchor), views, request, inOne);
    expect(sent.living).toBe(one);
    expect(sent.hops).toBeLessThanOrEqual(3);
    expect(sent.pins.fork).toBeNull();
    expect(verifiedEpoch(sent.pins)).toBe(2n);
    // Next time it goes there at once.
    expect(send(sent.pins, views, request, inOne).hops).toBe(0);
  });

  test('a question for the way is answered from any key, known or not', () => {
    const view = viewOf(zero, one);
    for (const from of [anchor.genesisKey, k1.state.authority.key, new Uint8Array(96)]) {
      const pins = heed(openPins(anchor), proofFor(viewOf(k1), inOne, anchor.genesisKey).proof);
      const wiser = heed(pins, proofFor(view, inOne, from).proof);
      expect(sectionFor(wiser.tree, inOne)?.key).toEqual(one.state.authority.key);
    }
  });

  test('under our key the request inside is taken, and anything else inside is malformed', () => {
    const view = viewOf(one, zero);
    const { key } = one.state.authority;
    const inside = encodeClientRequest(request);
    const cover = { kind: 'under', key, generation: 1n, request: inside } as const;
    expect(openUnder(view, cover)).toEqual({ ok: true, value: request });
    const nested = { ...cover, request: encodeCover(cover) };
    expect(openUnder(view, nested)).toMatchObject({ error: { kind: 'malformed' } });
    const hello = { ...cover, request: encodeClientRequest({ kind: 'hello' }) };
    expect(openUnder(view, hello).ok).toBe(true);
  });
});

describe('N31: further behind than one page', () => {
  let far = one;
  for (let n = 0; n < 40; n++) far = only(succeed(far, `u far ${n}`).children);
  const known = far.chain.reduce(
    (tree, link) => learn(tree, storedUpdate({ links: [link], authority: null })).tree,
    emptyTree(anchor),
  );
  const view = { tree: told(known, far), own: sign(far, 0) };
  const request = { kind: 'getChunk', name: inOne, avoid: [] } as const;

  test('N31: with the genesis key alone a client reads forty-two handovers in three pages', () => {
    let pins = openPins(anchor);
    for (const epoch of [16n, 32n]) {
      const from = newestKey(pins.tree, anchor.genesisKey, inOne);
      pins = heed(pins, proofFor(view, inOne, from).proof);
      expect(trustFor(pins.tree, newestKey(pins.tree, anchor.genesisKey, inOne))?.epoch).toBe(
        epoch,
      );
      expect(sectionsOf(pins.tree)).toEqual([]);
    }
    const from = newestKey(pins.tree, anchor.genesisKey, inOne);
    pins = heed(pins, proofFor(view, inOne, from).proof);
    expect(sectionFor(pins.tree, inOne)?.key).toEqual(far.state.authority.key);
  });

  test('N31: a client that used an old key is refused with a page, reads two more, and goes on once', () => {
    const before = heed(openPins(anchor), proofFor(viewOf(one), inOne, anchor.genesisKey).proof);
    const sent = send(before, new Map([[far, view]]), request, inOne);
    expect([sent.hops, sent.pages]).toEqual([1, 2]);
    expect(sectionFor(sent.pins.tree, inOne)?.key).toEqual(far.state.authority.key);
  });

  test('N31: under an unknown key a client gets the newest record and nothing more', () => {
    const opened = openUnder(view, underCover(new Uint8Array(96).fill(3), request));
    if (opened.ok || opened.error.kind !== 'retry') throw new Error('refused');
    const proof = decodeProof(opened.error.proof);
    expect(proof).toEqual({ ok: true, value: { links: far.chain.slice(-1), authority: null } });
  });
});

describe('N33: pins', () => {
  const whole = [zero, one].reduce(
    (pins, living) => pin(pins, { kind: 'verifiedUpdate', proof: proofOf(sign(living)) }).pins,
    openPins(anchor),
  );

  test('what was pinned is read back whole, without a pairing', () => {
    const bytes = encodePins(whole);
    expect(decodePins(bytes, anchor)).toEqual(whole);
    expect(decodePins(bytes.slice(1), anchor)).toBeUndefined();
    expect(decodePins(concat(bytes, new Uint8Array(1)), anchor)).toBeUndefined();
  });

  test('a second successor is refused, shown, and not forgotten', () => {
    const thief = only(succeed(k1, 'u thief').children);
    const plan = follow(whole, proofOf(sign(thief)));
    if (plan.kind !== 'verify') throw new Error('worth checking');
    const verified = performVerifyUpdate(toySuite, plan.job);
    if (!verified.ok) throw new Error('really signed');
    const after = pin(whole, verified.value);
    expect(after.news).toBe(true);
    expect(after.pins.tree).toBe(whole.tree);
    expect(after.pins.fork).not.toBeNull();
    expect(decodePins(encodePins(after.pins), anchor)?.fork).toEqual(after.pins.fork);
  });

  test('a release that ships a checkpoint needs nothing older', () => {
    const checkpoint = trustFor(whole.tree, k1.state.authority.key);
    if (checkpoint === undefined) throw new Error('known');
    const pins = openPins(anchor, [checkpoint]);
    const after = pin(pins, { kind: 'verifiedUpdate', proof: proofOf(sign(one, 1)) }).pins;
    expect(sectionsOf(after.tree)).toHaveLength(1);
    expect(decodePins(encodePins(after), anchor, [checkpoint])).toEqual(after);
  });
});
