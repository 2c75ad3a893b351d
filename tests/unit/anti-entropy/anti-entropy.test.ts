/**
 * Goal: whoever is behind is shown what it lacks, once, for no more than it paid; whoever was sent
 * on arrives or asks others, and never runs in circles. Method: elders and senders of a toy network
 * that knows different parts of one history; one planted bug per rule; counted messages and bytes.
 */
import { describe, expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { toXorName, type XorName } from '#address/xor-name.ts';
import { equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  answeredAgainAfter,
  askOthers,
  decide,
  decodeReply,
  encodeReply,
  judge,
  maxAmplification,
  maxHops,
  maxTold,
  noKey,
  noToken,
  openPending,
  pageFor,
  proceed,
  pushedBy,
  pushersOf,
  type Cover,
  type Reply,
  type View,
} from '#protocol/anti-entropy/index.ts';
import {
  emptyTree,
  learn,
  performVerifyUpdate,
  planUpdate,
  proofOf,
  type SectionProof,
  type SectionTree,
} from '#protocol/section/index.ts';
import { sealEnvelope } from '#roles/wire/envelope.ts';
import { toyIdentity, toyIdentitySuite, toySuite } from '../../sim/toy-suite.ts';
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

const born = genesis('entropy', 10);
const { anchor } = born;
const k1 = only(succeed(born, 'e1').children);
const [zero, one] = both(succeed(k1, 'e zero', 'e one').children);
const k4 = only(succeed(zero, 'e four').children);

const learnProof = (tree: SectionTree, proof: SectionProof): SectionTree => {
  const plan = planUpdate(tree, proof);
  if (plan.kind !== 'verify') return tree;
  const verified = performVerifyUpdate(toySuite, plan.job);
  return verified.ok ? learn(tree, verified.value).tree : tree;
};
const knowing = (...all: readonly Living[]): SectionTree =>
  all.reduce((tree, living) => learnProof(tree, proofOf(sign(living))), emptyTree(anchor));

const keyOf = (living: Living): Uint8Array => living.state.authority.key;
const viewOf = (own: Living, ...others: readonly Living[]): View => ({
  tree: knowing(...others, own),
  own: sign(own, 0),
  tokenSecret: sha256(utf8('secret')),
  told: new Map(),
});

const seed = sha256(utf8('alice'));
const alice = toXorName(toyIdentity(seed));
const inZero = nameUnder(parsePrefix('0') ?? EMPTY_PREFIX, 'a thing');
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'a thing');
const id = (n: number): Uint8Array => new Uint8Array(16).fill(n);

const cover = (changes: Partial<Cover> = {}): Cover => ({
  source: alice,
  destinationName: inZero,
  destinationKey: keyOf(zero),
  generation: zero.state.authority.generation,
  messageId: id(1),
  token: noToken,
  ...changes,
});
/** As long as a word of five letters is on the wire, cover, token and signature and all. */
const usualBytes =
  noToken.length +
  sealEnvelope(
    anchor.networkId,
    {
      from: alice,
      to: inZero,
      key: keyOf(zero),
      generation: 0n,
      id: id(1),
      payload: utf8('hello'),
    },
    (bytes) => toyIdentitySuite.sign(seed, bytes),
  ).length;

/** Large enough that the rule of three times never bites. */
const generous = 100_000;

describe('replies', () => {
  test('replies survive the wire, and nothing else does', () => {
    const proof = proofOf(sign(zero));
    const replies: readonly Reply[] = [
      { kind: 'retry', messageId: id(1), proof },
      { kind: 'redirect', messageId: id(1), proof: { links: proof.links, authority: null } },
      { kind: 'newest', messageId: id(1), record: zero.chain[0] ?? null },
      { kind: 'newest', messageId: id(1), record: null },
      { kind: 'challenge', messageId: id(1), token: id(7) },
    ];
    for (const reply of replies) {
      const bytes = encodeReply(reply);
      const decoded = decodeReply(bytes);
      if (!decoded.ok) throw new Error(reply.kind);
      expect(encodeReply(decoded.value)).toEqual(bytes);
      for (let at = 0; at < bytes.length; at += 13) {
        expect(decodeReply(bytes.slice(0, at)).ok).toBe(false);
      }
    }
  });
});

describe('an elder decides', () => {
  test('E1: our name and our key: the message is handled, an older generation is noticed', () => {
    const view = viewOf(grow(zero));
    expect(decide(view, cover(), generous).decision).toEqual({ kind: 'accept', behind: true });
    const { generation } = view.own.authority;
    expect(decide(view, cover({ generation }), generous).decision).toEqual({
      kind: 'accept',
      behind: false,
    });
  });

  test('E1: our name and an older key: retry with what followed that key, and no more', () => {
    const { decision } = decide(viewOf(zero), cover({ destinationKey: keyOf(k1) }), generous);
    if (decision.kind !== 'answer' || decision.reply.kind !== 'retry') throw new Error('retry');
    expect(decision.reply.proof.links).toEqual(zero.chain.slice(-1));
    expect(decision.reply.proof.authority?.authority).toEqual(zero.state.authority);
    expect(encodeReply(decision.reply).length).toBeLessThan(8192);
  });

  test('E2: a name of another section: redirect to it, from where the two branches meet', () => {
    const asked = cover({ destinationName: inOne });
    const { decision } = decide(viewOf(zero, one), asked, generous);
    if (decision.kind !== 'answer' || decision.reply.kind !== 'redirect')
      throw new Error('redirect');
    expect(decision.reply.proof.authority?.authority).toEqual(one.state.authority);
    // The sender knows `zero`, so it knows the split: nothing but the authority is new to it.
    expect(learnProof(knowing(zero), decision.reply.proof).sections.has('1')).toBe(true);
  });

  test('E5, N31: an unknown key gets the newest record and nothing more', () => {
    const view = viewOf(zero, one);
    for (const destinationKey of [noKey, keyOf(k4), new Uint8Array(96).fill(9)]) {
      const { decision } = decide(view, cover({ destinationKey }), generous);
      if (decision.kind !== 'answer' || decision.reply.kind !== 'newest') throw new Error('newest');
      expect(decision.reply.record).toEqual(zero.chain.at(-1));
    }
  });

  test('E2: with no other section known, redirect shows how that name and ours parted', () => {
    const own = sign(zero, 0);
    const known = knowing(zero);
    const view = { ...viewOf(zero), tree: { ...known, sections: new Map() }, own };
    const asked = cover({ destinationName: inOne, destinationKey: anchor.genesisKey });
    const { decision } = decide(view, asked, generous);
    if (decision.kind !== 'answer' || decision.reply.kind !== 'redirect')
      throw new Error('redirect');
    expect(decision.reply.proof.links).toEqual(zero.chain);
  });

  test('E4, N31: a stranger never gets more than three times its bytes, and pays with an echo', () => {
    const stale = cover({ destinationKey: keyOf(k1) });
    const bytes = usualBytes;
    const first = decide(viewOf(zero), stale, bytes);
    if (first.decision.kind !== 'answer' || first.decision.reply.kind !== 'challenge') {
      throw new Error('challenge');
    }
    expect(encodeReply(first.decision.reply).length).toBeLessThanOrEqual(maxAmplification * bytes);
    const { token } = first.decision.reply;
    const echoed = cover({ destinationKey: keyOf(k1), token });
    const second = decide({ ...viewOf(zero), told: first.told }, echoed, bytes);
    expect(second.decision).toMatchObject({ kind: 'answer', reply: { kind: 'retry' } });
    // Somebody else's token opens nothing.
    const thief = { ...echoed, source: toXorName(sha256(utf8('mallory'))) };
    expect(decide(viewOf(zero), thief, bytes).decision).toMatchObject({
      reply: { kind: 'challenge' },
    });
  });

  test('E3: one answer per peer and key; a lost one is given again after eight more messages', () => {
    let view = viewOf(zero);
    const kinds = Array.from({ length: 2 * answeredAgainAfter + 1 }, () => {
      const decided = decide(view, cover({ destinationKey: keyOf(k1) }), generous);
      view = { ...view, told: decided.told };
      return decided.decision.kind;
    });
    expect(kinds.filter((kind) => kind === 'answer')).toHaveLength(3);
    // Made-up keys are one key.
    const answers = Array.from({ length: 6 }, (_, n) => {
      const destinationKey = new Uint8Array(96).fill(100 + n);
      const decided = decide(view, cover({ destinationKey }), generous);
      view = { ...view, told: decided.told };
      return decided.decision.kind;
    });
    expect(answers.filter((kind) => kind === 'answer')).toHaveLength(1);
  });

  test('E3: the memory has a bound, and the longest silent is forgotten first', () => {
    const told = new Map(Array.from({ length: maxTold }, (_, i) => [`peer ${i}/x/stranger`, 0]));
    const decided = decide(
      { ...viewOf(zero), told },
      cover({ destinationKey: keyOf(k1) }),
      generous,
    );
    expect(decided.told.size).toBe(maxTold);
    expect(decided.told.has('peer 0/x/stranger')).toBe(false);
  });
});

describe('the sender follows', () => {
  const elderOf = (living: Living, at = 0): XorName =>
    living.state.authority.elders[at]?.name ?? alice;
  const pendingTo = (living: Living, name = inZero) =>
    openPending(id(1), name, keyOf(living), [elderOf(living)]);
  const retry = (proof: SectionProof, messageId = id(1)): Reply => ({
    kind: 'retry',
    messageId,
    proof,
  });

  test('F5: a retry that proves a newer key sends the same bytes on, under that key', () => {
    const tree = knowing(k1);
    const pending = pendingTo(k1);
    const judged = judge(tree, pending, elderOf(k1), retry(proofOf(sign(zero, 1))));
    if (judged.kind !== 'verify') throw new Error('news');
    const wiser = learnProof(tree, judged.job.proof);
    const sent = proceed(wiser, pending);
    if (sent.kind !== 'resend') throw new Error('resend');
    expect(sent.key).toEqual(keyOf(zero));
    expect(sent.to).toHaveLength(1);
    expect(sent.pending.hops).toBe(1);
  });

  test('F1: what was not asked, of whom or for, is refused before anything is checked', () => {
    const tree = knowing(k1);
    const news = retry(proofOf(sign(zero, 1)));
    expect(judge(tree, pendingTo(k1), alice, news)).toEqual({ kind: 'refused', fault: 'notAsked' });
    const other = retry(proofOf(sign(zero, 1)), id(2));
    expect(judge(tree, pendingTo(k1), elderOf(k1), other)).toMatchObject({ fault: 'notAsked' });
  });

  test('F3, N30: the key we used, an older one, a stranger’s or an unproven one lead nowhere', () => {
    const tree = knowing(zero);
    for (const living of [zero, k1, born]) {
      const judged = judge(tree, pendingTo(zero), elderOf(zero), retry(proofOf(sign(living))));
      expect(judged).toEqual({ kind: 'known' });
      expect(proceed(tree, pendingTo(zero))).toEqual({ kind: 'wait' });
    }
    const stranger = retry(proofOf(sign(genesis('elsewhere', 1))));
    expect(judge(tree, pendingTo(zero), elderOf(zero), stranger)).toMatchObject({
      fault: 'unproven',
    });
    const wrongSide = retry(proofOf(sign(one)));
    expect(judge(tree, pendingTo(zero), elderOf(zero), wrongSide)).toMatchObject({
      fault: 'wrongSection',
    });
  });

  test('F2: a challenge is echoed', () => {
    const reply: Reply = { kind: 'challenge', messageId: id(1), token: id(9) };
    expect(judge(knowing(zero), pendingTo(zero), elderOf(zero), reply)).toEqual({
      kind: 'echo',
      token: id(9),
    });
  });

  test('F4: an elder that is behind us is taught from its own key on', () => {
    const behind = decide(viewOf(zero), cover({ destinationKey: keyOf(k4) }), generous).decision;
    if (behind.kind !== 'answer') throw new Error('answer');
    const tree = knowing(k4);
    const judged = judge(tree, pendingTo(k4), elderOf(k4), behind.reply);
    expect(judged).toEqual({ kind: 'teach', from: keyOf(zero) });
    const lesson = pageFor(tree, keyOf(zero), sign(k4, 0));
    expect(lesson.links).toHaveLength(1);
    expect(learnProof(knowing(zero), lesson).sections.get('0')?.authority.key).toEqual(keyOf(k4));
  });

  test('F6, N30: after three hops three others are asked, once, and then it is given up', () => {
    const line: Living[] = [born];
    for (let i = 0; i < 6; i++) line.push(only(succeed(line.at(-1) ?? born, `hop ${i}`).children));
    let tree = emptyTree(anchor);
    let pending = openPending(id(1), inZero, noKey, []);
    const steps: string[] = [];
    for (const living of line) {
      tree = learnProof(tree, proofOf(sign(living)));
      const next = proceed(tree, pending);
      steps.push(next.kind === 'resend' ? `${next.to.length}` : next.kind);
      if (next.kind === 'resend') pending = next.pending;
    }
    expect(pending.hops).toBe(maxHops);
    expect(steps).toEqual(['1', '1', '1', '3', 'gaveUp', 'gaveUp', 'gaveUp']);
    expect(askOthers(tree, pending)).toEqual({ kind: 'gaveUp' });
  });

  test('pages are no hops: forty keys are read in three pages and one hop', () => {
    let last: Living = born;
    for (let i = 0; i < 40; i++) last = only(succeed(last, `long ${i}`).children);
    let known = emptyTree(anchor);
    for (let i = 0; i < 40; i += 16) {
      known = learnProof(known, { links: last.chain.slice(i, i + 16), authority: null });
    }
    const view: View = { ...viewOf(born), tree: known, own: sign(last, 0) };
    let tree = knowing(born);
    let pending = openPending(id(1), inZero, anchor.genesisKey, [elderOf(born)]);
    let key = anchor.genesisKey;
    let answers = 0;
    for (; answers < 10; answers++) {
      const asked = cover({ destinationKey: key, generation: 0n });
      const { decision } = decide(view, asked, generous);
      if (decision.kind === 'accept') break;
      if (decision.kind !== 'answer') throw new Error('answer');
      const judged = judge(tree, pending, elderOf(born), decision.reply);
      if (judged.kind !== 'verify') throw new Error(judged.kind);
      tree = learnProof(tree, judged.job.proof);
      const next = proceed(tree, pending);
      if (next.kind !== 'resend') throw new Error(next.kind);
      ({ pending, key } = next);
      pending = { ...pending, asked: [...pending.asked, toHex(elderOf(born))] };
    }
    expect(answers).toBe(3);
    expect(pending.hops).toBe(1);
    expect(pending.pages).toBe(2);
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

describe('message budget', () => {
  /** Alice sends `count` stale messages to each of seven elders and follows what they answer. */
  function repair(
    count: number,
    rule: (view: View, asked: Cover, bytes: number) => ReturnType<typeof decide>,
  ) {
    const views = zero.state.authority.elders.map((_, n) => ({
      ...viewOf(zero),
      tokenSecret: sha256(utf8(`elder ${n}`)),
    }));
    const seen = { answers: 0, bytesIn: 0, bytesOut: 0, worst: 0, accepted: 0 };
    const keys = views.map(() => ({ key: keyOf(k1), token: noToken as Uint8Array }));
    for (let n = 0; n < count; n++) {
      for (const [at, view] of views.entries()) {
        for (let attempt = 0; attempt < 3; attempt++) {
          const { key, token } = keys[at] ?? { key: noKey, token: noToken };
          const asked = cover({ destinationKey: key, token, messageId: id(n) });
          const bytes = usualBytes;
          const decided = rule(view, asked, bytes);
          views[at] = { ...view, told: decided.told };
          seen.bytesIn += bytes;
          if (decided.decision.kind === 'accept') seen.accepted += 1;
          if (decided.decision.kind !== 'answer') break;
          const { reply } = decided.decision;
          const out = encodeReply(reply).length;
          seen.answers += 1;
          seen.bytesOut += out;
          if (token === noToken) seen.worst = Math.max(seen.worst, out / bytes);
          if (reply.kind === 'challenge') keys[at] = { key, token: reply.token };
          if (reply.kind === 'retry') keys[at] = { key: keyOf(zero), token };
          Object.assign(view, { told: decided.told });
        }
      }
    }
    return seen;
  }

  test('seven elders, twenty stale messages: two answers per elder, then all are accepted', () => {
    const seen = repair(20, decide);
    expect(seen.answers).toBe(14);
    expect(seen.accepted).toBe(140);
    expect(seen.worst).toBeLessThanOrEqual(maxAmplification);
    expect(seen.bytesOut).toBeLessThan(7 * 8192);
  });

  test('planted: without E3 and E4 a liar that never learns is amplified', () => {
    const flood = (rule: typeof decide) => {
      let view = viewOf(zero);
      let bytesIn = 0;
      let bytesOut = 0;
      for (let n = 0; n < 100; n++) {
        const stale = cover({ destinationKey: keyOf(k1), messageId: id(n) });
        const bytes = usualBytes;
        const decided = rule(view, stale, bytes);
        view = { ...view, told: decided.told };
        bytesIn += bytes;
        if (decided.decision.kind === 'answer')
          bytesOut += encodeReply(decided.decision.reply).length;
      }
      return bytesOut / bytesIn;
    };
    const noMemory: typeof decide = (view, asked, bytes) => ({
      ...decide({ ...view, told: new Map() }, asked, bytes),
      told: new Map(),
    });
    const noPrice: typeof decide = (view, asked) =>
      decide({ ...view, told: new Map() }, asked, 1e9);
    expect(flood(decide)).toBeLessThan(0.1);
    expect(flood(noMemory)).toBeGreaterThan(0.1);
    expect(flood(noPrice)).toBeGreaterThan(maxAmplification);
  });
});
