/**
 * Goal: refusals of elders lead a client that is behind to the right section; it accepts only proofs, and
 * is not led back. Method: elders and a light client of a toy network that hands over and splits, all
 * bytes through their codecs.
 */
import { describe, expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { concat, equalBytes } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  decodeProof,
  encodeProof,
  startRedirects,
  startChainSync,
  stepRedirects,
  stepChainSync,
  type RedirectEvent,
  type ChainSync,
  type ChainSyncStep,
} from '#protocol/anti-entropy/index.ts';
import {
  createTree,
  learn,
  newestKey,
  performVerifyUpdate,
  planUpdate,
  sectionProofOf,
  sectionFor,
  sectionsOf,
  trustedUpdate,
  trustFor,
  type SectionTree,
} from '#protocol/section/index.ts';
import {
  decodeTrustStore,
  encodeTrustStore,
  planPin,
  openTrustStore,
  pin,
  verifiedEpoch,
  type TrustStore,
} from '#roles/light-client/stored-sections.ts';
import {
  decodeIncomingRequest,
  encodeClientRequest,
  encodeRoutingRequest,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { openRouted, proofFor, type RoutingView } from '#roles/wire/routed.ts';
import { toySuite } from '../../../sim/toys/toy-suite.ts';
import {
  both,
  genesis,
  nameUnder,
  only,
  sign,
  succeed,
  type TestSection,
} from '../../section/network.ts';

const born = genesis('under', 4);
const { anchor } = born;
const k1 = only(succeed(born, 'u1').children);
const [zero, one] = both(succeed(k1, 'u zero', 'u one').children);

const withUpdate = (tree: SectionTree, living: TestSection): SectionTree => {
  const plan = planUpdate(tree, sectionProofOf(sign(living)));
  if (plan.kind !== 'verify') return tree;
  const verified = performVerifyUpdate(toySuite, plan.job);
  return verified.ok ? learn(tree, verified.value).tree : tree;
};
const viewOf = (own: TestSection, ...others: readonly TestSection[]): RoutingView => ({
  tree: [...others, own].reduce(withUpdate, createTree(anchor)),
  own: sign(own, 0),
});
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'chunk');

/** As a worker handles a refusal: verifies and pins the proof, or ignores it. */
function pinProof(pins: TrustStore, proof: Uint8Array): TrustStore {
  const decoded = decodeProof(proof);
  if (!decoded.ok) throw new Error('malformed');
  const plan = planPin(pins, decoded.value);
  if (plan.kind !== 'verify') return pins;
  const verified = performVerifyUpdate(toySuite, plan.job);
  return verified.ok ? pin(pins, verified.value).store : pins;
}

/** Sends one request through the codecs and follows redirects as the light node does, until it is accepted. */
function send(
  pins: TrustStore,
  views: ReadonlyMap<TestSection, RoutingView>,
  request: ClientRequest,
  name: Uint8Array,
) {
  let now = pins;
  let pages = 0;
  const anybody = [...views.keys()].at(-1) ?? zero;
  const livingOf = (elder: Uint8Array): TestSection =>
    [...views.keys()].find(({ state }) =>
      state.authority.elders.some((each) => equalBytes(each.name, elder)),
    ) ?? anybody;
  const viewOfElder = (elder: Uint8Array): RoutingView =>
    views.get(livingOf(elder)) ?? viewOf(zero);
  const section = sectionFor(now.tree, name) ?? anybody.state.authority;
  const first = section.elders[0]?.name ?? name;
  let state = startRedirects(now.tree, name, sha256(encodeClientRequest(request)), first);
  for (;;) {
    const { to, key, hops } = state;
    const opened = openRouted(viewOfElder(to), routedRequest(key, request));
    if (opened.ok) return { pins: now, hops, pages, living: livingOf(to) };
    if (opened.error.kind !== 'retry' && opened.error.kind !== 'redirect')
      throw new Error('lead on');
    const proof = decodeProof(opened.error.proof);
    let event: RedirectEvent = { kind: 'refused', proof: proof.ok ? proof.value : null };
    for (;;) {
      const view = { tree: now.tree, isReachable: () => true };
      const step = stepRedirects(view, state, event);
      if (step.kind === 'giveUp') throw new Error('given up');
      if (step.kind === 'send') {
        ({ state } = step);
        break;
      }
      if (step.kind === 'check') {
        now = pinProof(now, encodeProof(step.proof));
        event = { kind: 'checked', holds: true };
        continue;
      }
      let turned: ChainSyncStep = { kind: 'ask', sync: startChainSync(now.tree, name) };
      while (turned.kind === 'ask') {
        const { sync }: { readonly sync: ChainSync } = turned;
        const page = proofFor(viewOfElder(to), name, sync.from).proof;
        now = pinProof(now, page);
        pages += 1;
        const decoded = decodeProof(page);
        turned = stepChainSync(now.tree, sync, decoded.ok ? decoded.value : null);
      }
      event = { kind: 'pagesRead' };
    }
  }
}

function routedRequest(key: Uint8Array, request: ClientRequest) {
  const inside = encodeClientRequest(request);
  const cover = encodeRoutingRequest({ kind: 'routed', key, generation: 0n, request: inside });
  const decoded = decodeIncomingRequest(cover);
  if (!decoded.ok || decoded.value.kind !== 'routed') throw new Error('a cover');
  return decoded.value;
}

describe('following', () => {
  const views = new Map([zero, one].map((each) => [each, viewOf(each, zero, one)]));
  const request = { kind: 'getChunk', name: inOne, avoid: [] } as const;

  test('N30: with only the genesis key a request finds the right half after a split', () => {
    const sent = send(openTrustStore(anchor), views, request, inOne);
    expect(sent.living).toBe(one);
    expect(sent.hops).toBeLessThanOrEqual(3);
    expect(sent.pins.fork).toBeNull();
    expect(verifiedEpoch(sent.pins)).toBe(2n);
    // The next request goes there directly.
    expect(send(sent.pins, views, request, inOne).hops).toBe(0);
  });

  test('a section query is answered from any key, known or unknown', () => {
    const view = viewOf(zero, one);
    for (const from of [anchor.genesisKey, k1.state.authority.key, new Uint8Array(96)]) {
      const pins = pinProof(
        openTrustStore(anchor),
        proofFor(viewOf(k1), inOne, anchor.genesisKey).proof,
      );
      const wiser = pinProof(pins, proofFor(view, inOne, from).proof);
      expect(sectionFor(wiser.tree, inOne)?.key).toEqual(one.state.authority.key);
    }
  });

  test('under our key the inner request is accepted; other bytes are malformed', () => {
    const view = viewOf(one, zero);
    const { key } = one.state.authority;
    const inside = encodeClientRequest(request);
    const cover = { kind: 'routed', key, generation: 1n, request: inside } as const;
    expect(openRouted(view, cover)).toEqual({ ok: true, value: request });
    const nested = { ...cover, request: encodeRoutingRequest(cover) };
    expect(openRouted(view, nested)).toMatchObject({ error: { kind: 'malformed' } });
    const hello = { ...cover, request: encodeClientRequest({ kind: 'hello' }) };
    expect(openRouted(view, hello).ok).toBe(true);
  });
});

describe('N31: more than one page behind', () => {
  let far = one;
  for (let n = 0; n < 40; n++) far = only(succeed(far, `u far ${n}`).children);
  const known = far.chain.reduce(
    (tree, link) => learn(tree, trustedUpdate({ links: [link], authority: null })).tree,
    createTree(anchor),
  );
  const view = { tree: withUpdate(known, far), own: sign(far, 0) };
  const request = { kind: 'getChunk', name: inOne, avoid: [] } as const;

  test('N31: with only the genesis key a client reads forty-two handovers in three pages', () => {
    let pins = openTrustStore(anchor);
    for (const epoch of [16n, 32n]) {
      const from = newestKey(pins.tree, anchor.genesisKey, inOne);
      pins = pinProof(pins, proofFor(view, inOne, from).proof);
      expect(trustFor(pins.tree, newestKey(pins.tree, anchor.genesisKey, inOne))?.epoch).toBe(
        epoch,
      );
      expect(sectionsOf(pins.tree)).toEqual([]);
    }
    const from = newestKey(pins.tree, anchor.genesisKey, inOne);
    pins = pinProof(pins, proofFor(view, inOne, from).proof);
    expect(sectionFor(pins.tree, inOne)?.key).toEqual(far.state.authority.key);
  });

  test('N31: a client with an old key is refused with a page, reads two more, and retries once', () => {
    const before = pinProof(
      openTrustStore(anchor),
      proofFor(viewOf(one), inOne, anchor.genesisKey).proof,
    );
    const sent = send(before, new Map([[far, view]]), request, inOne);
    expect([sent.hops, sent.pages]).toEqual([1, 2]);
    expect(sectionFor(sent.pins.tree, inOne)?.key).toEqual(far.state.authority.key);
  });

  test('N31: under an unknown key a client gets only the newest record', () => {
    const opened = openRouted(view, routedRequest(new Uint8Array(96).fill(3), request));
    if (opened.ok || opened.error.kind !== 'retry') throw new Error('refused');
    const proof = decodeProof(opened.error.proof);
    expect(proof).toEqual({ ok: true, value: { links: far.chain.slice(-1), authority: null } });
  });
});

describe('N33: pins', () => {
  const whole = [zero, one].reduce(
    (pins, living) =>
      pin(pins, { kind: 'verifiedUpdate', proof: sectionProofOf(sign(living)) }).store,
    openTrustStore(anchor),
  );

  test('pins are read back unchanged, without a pairing', () => {
    const bytes = encodeTrustStore(whole);
    expect(decodeTrustStore(bytes, anchor)).toEqual(whole);
    expect(decodeTrustStore(bytes.slice(1), anchor)).toBeUndefined();
    expect(decodeTrustStore(concat(bytes, new Uint8Array(1)), anchor)).toBeUndefined();
  });

  test('a second successor is refused, shown and kept', () => {
    const thief = only(succeed(k1, 'u thief').children);
    const plan = planPin(whole, sectionProofOf(sign(thief)));
    if (plan.kind !== 'verify') throw new Error('worth checking');
    const verified = performVerifyUpdate(toySuite, plan.job);
    if (!verified.ok) throw new Error('really signed');
    const after = pin(whole, verified.value);
    expect(after.changed).toBe(true);
    expect(after.store.tree).toBe(whole.tree);
    expect(after.store.fork).not.toBeNull();
    expect(decodeTrustStore(encodeTrustStore(after.store), anchor)?.fork).toEqual(after.store.fork);
  });

  test('a release that ships a checkpoint needs nothing older', () => {
    const checkpoint = trustFor(whole.tree, k1.state.authority.key);
    if (checkpoint === undefined) throw new Error('known');
    const pins = openTrustStore(anchor, [checkpoint]);
    const after = pin(pins, { kind: 'verifiedUpdate', proof: sectionProofOf(sign(one, 1)) }).store;
    expect(sectionsOf(after.tree)).toHaveLength(1);
    expect(decodeTrustStore(encodeTrustStore(after), anchor, [checkpoint])).toEqual(after);
  });
});
