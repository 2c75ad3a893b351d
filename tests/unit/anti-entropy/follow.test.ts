/**
 * Goal: a message that was refused with a proof arrives or asks others, and never runs in circles
 * (N30). Method: one sender, elders of a toy network that hands over and splits, and liars that show
 * whatever they like; questions and pairings are counted.
 */
import { describe, expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  lookAt,
  maxHops,
  openFollowing,
  openReading,
  pageFor,
  stepFollowing,
  turnPage,
  type FollowEvent,
  type FollowStep,
  type FollowView,
} from '#protocol/anti-entropy/index.ts';
import { proofOf, type SectionProof, type SectionTree } from '#protocol/section/index.ts';
import { toXorName } from '#address/xor-name.ts';
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
import { checked, keyOf, knowing as knowingOf, lineFrom } from './support.ts';

const born = genesis('follow', 10);
const { anchor } = born;
const k1 = only(succeed(born, 'f1').children);
const [zero, one] = both(succeed(k1, 'f zero', 'f one').children);
const line = lineFrom(zero, 8, 'f hop');
const inZero = nameUnder(parsePrefix('0') ?? EMPTY_PREFIX, 'a thing');
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'a thing');
const knowing = (...all: readonly Living[]) => knowingOf(anchor, ...all);
const message = sha256(utf8('a message'));
const namesOf = (living: Living) => living.state.authority.elders.map(({ name }) => name);
const first = (living: Living): Uint8Array => namesOf(living)[0] ?? inZero;
const isElderOf = (living: Living, name: Uint8Array): boolean =>
  namesOf(living).some((each) => equalBytes(each, name));
const seenBy = (tree: SectionTree): FollowView => ({ tree, isReached: () => true });

/** What an elder answers: takes it, refuses it with a proof or with no proof, or is silent. */
type Answer = 'taken' | 'noProof' | 'silent' | SectionProof;
interface Peers {
  readonly answer: (to: Uint8Array, key: Uint8Array) => Answer;
  /** Its pages of links; without them it shows none. */
  readonly page?: (from: Uint8Array) => SectionProof | null;
}

/** As the light node does it, without the waiting. Stops after a hundred questions. */
function follow(
  start: SectionTree,
  name: Uint8Array,
  to: Uint8Array,
  { answer, page = () => null }: Peers,
  step: typeof stepFollowing = stepFollowing,
) {
  let tree = start;
  let following = openFollowing(tree, name, message, to);
  const sent: { to: Uint8Array; key: Uint8Array }[] = [];
  const seen = { checks: 0, reads: 0 };
  const learn = (proof: SectionProof): boolean => {
    const wiser = checked(tree, proof);
    tree = wiser ?? tree;
    return wiser !== undefined;
  };
  const read = (): void => {
    let reading = openReading(tree, name);
    for (;;) {
      seen.reads += 1;
      const shown = page(reading.from);
      const isProven = shown !== null && learn(shown);
      const turned = turnPage(tree, reading, isProven ? shown : null);
      if (turned.kind !== 'ask') return;
      ({ reading } = turned);
    }
  };
  for (;;) {
    sent.push({ to: following.to, key: following.key });
    const said = answer(following.to, following.key);
    const end = (how: 'taken' | 'gaveUp' | 'forEver') => ({ how, sent, tree, following, ...seen });
    if (said === 'taken') return end('taken');
    if (sent.length > 100) return end('forEver');
    let event: FollowEvent =
      said === 'silent'
        ? { kind: 'silent' }
        : { kind: 'refused', proof: said === 'noProof' ? null : said };
    for (;;) {
      const next: FollowStep = step(seenBy(tree), following, event);
      if (next.kind === 'giveUp') return end('gaveUp');
      if (next.kind === 'send') {
        ({ following } = next);
        break;
      }
      if (next.kind === 'check') {
        seen.checks += 1;
        event = { kind: 'checked', holds: learn(next.proof) };
      } else {
        read();
        event = { kind: 'read' };
      }
    }
  }
}

/** Elders of a living section that looks at covers as the product does. */
function elders(own: Living, name: Uint8Array, ...others: readonly Living[]): Peers {
  const view = { tree: knowing(...others, own), own: sign(own, 0) };
  return {
    answer: (to, destinationKey) => {
      const cover = { destinationName: toXorName(name), destinationKey, generation: 0n };
      const looked = lookAt(view, cover);
      if (looked.kind === 'accept') return isElderOf(own, to) ? 'taken' : 'silent';
      if (looked.kind !== 'newest') return looked.proof;
      return { links: looked.record === null ? [] : [looked.record], authority: null };
    },
    page: (from) => pageFor(view.tree, from, view.own),
  };
}

describe('whoever is shown a newer key goes on', () => {
  test('F2: a retry that proves a newer key sends the same bytes on, under that key', () => {
    const done = follow(knowing(k1), inZero, first(k1), elders(zero, inZero));
    expect(done).toMatchObject({ how: 'taken', checks: 1, reads: 0 });
    expect(done.sent.map(({ key }) => key)).toEqual([keyOf(k1), keyOf(zero)]);
    expect(done.following.hops).toBe(1);
  });

  test('F2: the same elder is asked again if it is one of the newer key, too', () => {
    const [, elder = inZero] = namesOf(zero);
    const pending = openFollowing(knowing(k1), inZero, message, elder);
    const step = stepFollowing(seenBy(knowing(zero)), pending, { kind: 'checked', holds: true });
    expect(step).toMatchObject({ kind: 'send', following: { to: elder, key: keyOf(zero) } });
  });

  test('F2: a redirect leads into another branch, though its key is of an earlier epoch', () => {
    const [, , , later = zero] = line;
    const other = elders(one, inOne);
    const done = follow(knowing(later), inOne, first(later), {
      answer: (to, key) => (isElderOf(one, to) ? other.answer(to, key) : proofOf(sign(one))),
    });
    expect(done).toMatchObject({ how: 'taken', checks: 1 });
    expect(done.sent.map(({ key }) => key)).toEqual([keyOf(later), keyOf(one)]);
  });

  test('F3: pages are no hops: forty keys are read in three pages and one hop', () => {
    const far = lineFrom(zero, 40, 'f far').at(-1) ?? zero;
    const done = follow(knowing(zero), inZero, first(zero), elders(far, inZero));
    expect(done).toMatchObject({ how: 'taken', checks: 1, reads: 2 });
    expect(done.sent).toHaveLength(2);
    expect(done.following.hops).toBe(1);
  });

  test('F3: where the elders of the newer key cannot be dialled, the way to them is read', () => {
    const pending = openFollowing(knowing(k1), inZero, message, first(k1));
    const view = { tree: knowing(zero), isReached: () => false };
    expect(stepFollowing(view, pending, { kind: 'checked', holds: true })).toEqual({
      kind: 'read',
    });
    expect(stepFollowing(view, pending, { kind: 'read' })).toMatchObject({ kind: 'send' });
    // Pages that brought nothing are no reason to ask again.
    const none = stepFollowing(seenBy(knowing(k1)), pending, { kind: 'read' });
    expect(none).toEqual({ kind: 'giveUp' });
  });

  describe('F2: who knows the right key by its link alone, and asked none of its elders,', () => {
    // The record that ended the key before names both halves; the state of one of them is not known.
    const start = knowing(k1, zero);
    const asked = namesOf(k1).find((name) => !isElderOf(one, name)) ?? inZero;
    const inOneOnly =
      (others: Peers): Peers['answer'] =>
      (to, key) =>
        isElderOf(one, to) && equalBytes(key, keyOf(one)) ? 'taken' : others.answer(to, key);

    test('is led to them under the same key by whoever knows their state', () => {
      const done = follow(start, inOne, asked, { answer: inOneOnly(elders(zero, inOne, one)) });
      expect(done).toMatchObject({ how: 'taken', checks: 1, reads: 0 });
      expect(done.sent.map(({ key }) => key)).toEqual([keyOf(one), keyOf(one)]);
    });

    test('reads the state from whoever shows nothing new', () => {
      const done = follow(start, inOne, asked, {
        answer: inOneOnly({ answer: () => proofOf(sign(zero)) }),
        page: (from) => pageFor(knowing(one), from, sign(one, 0)),
      });
      expect(done).toMatchObject({ how: 'taken', checks: 0, reads: 1 });
      expect(done.sent).toHaveLength(2);
    });

    test('gives up when neither helps, and does not ask one of those elders twice', () => {
      const nothing = follow(start, inOne, asked, { answer: () => proofOf(sign(zero)) });
      expect(nothing).toMatchObject({ how: 'gaveUp', reads: 1 });
      expect(nothing.sent).toHaveLength(1);
      const stubborn = follow(start, inOne, asked, { answer: () => proofOf(sign(one)) });
      expect(stubborn).toMatchObject({ how: 'gaveUp', checks: 1 });
      expect(stubborn.sent).toHaveLength(2);
    });
  });

  test('F1: nothing is read for the key we used from one of its own elders', () => {
    const tree = knowing(zero);
    const view = { tree, isReached: () => false };
    const pending = openFollowing(tree, inZero, message, first(zero));
    const refused = { kind: 'refused', proof: proofOf(sign(zero)) } as const;
    expect(stepFollowing(view, pending, refused)).toEqual({ kind: 'giveUp' });
  });

  test('what another message has learnt meanwhile is followed without a pairing', () => {
    const pending = openFollowing(knowing(k1), inZero, message, first(k1));
    const refused = { kind: 'refused', proof: proofOf(sign(zero)) } as const;
    const step = stepFollowing(seenBy(knowing(zero)), pending, refused);
    expect(step).toMatchObject({ kind: 'send', following: { key: keyOf(zero), hops: 1 } });
  });
});

describe('whoever is shown anything else does not', () => {
  const silent: Peers = { answer: () => 'silent' };
  const showing = (proof: SectionProof): Peers => ({ answer: () => proof });

  test('F1, N30: the key we used, an older one, a stranger’s or an unproven one lead nowhere', () => {
    const tree = knowing(zero);
    // An ended key that boasts a later generation would cost a pairing, and is no news either.
    const boasting = [1, 2, 3].reduce((living) => grow(living), k1);
    for (const living of [zero, k1, born, boasting, genesis('elsewhere', 1)]) {
      const done = follow(tree, inZero, first(zero), showing(proofOf(sign(living))));
      expect(done).toMatchObject({ how: 'gaveUp', checks: 0, reads: 0, tree });
      expect(done.sent).toHaveLength(1);
    }
    const next = sign(line[1] ?? zero);
    const forged: readonly SectionProof[] = [
      {
        ...proofOf(next),
        links: next.chain.map((link) => ({ ...link, signature: flipped(link.signature) })),
      },
      proofOf({ ...next, signature: flipped(next.signature) }),
    ];
    for (const proof of forged) {
      const done = follow(tree, inZero, first(zero), showing(proof));
      expect(done).toMatchObject({ how: 'gaveUp', checks: 1, tree });
      expect(done.sent).toHaveLength(1);
    }
  });

  test('F1: a section that does not answer for the name is learnt, and is no hop', () => {
    const done = follow(knowing(zero), inZero, first(zero), showing(proofOf(sign(one))));
    expect(done).toMatchObject({ how: 'gaveUp', checks: 1 });
    expect(done.sent).toHaveLength(1);
  });

  test('silence and what is no proof give up at once: the caller asks another', () => {
    expect(follow(knowing(zero), inZero, first(zero), silent).sent).toHaveLength(1);
    const noProof = follow(knowing(zero), inZero, first(zero), { answer: () => 'noProof' });
    expect(noProof).toMatchObject({ how: 'gaveUp', checks: 0 });
  });
});

/** Everybody refuses with the key that follows the one that was used. */
const moving: Peers = {
  answer: (_, key) => {
    const at = line.findIndex((living) => equalBytes(keyOf(living), key));
    const next = line[at + 1];
    return next === undefined ? 'silent' : proofOf(sign(next, 1));
  },
};

describe('three hops, three others, then no more', () => {
  test('F4, N30: after three hops three others are asked, once, and then it is given up', () => {
    const done = follow(knowing(zero), inZero, first(zero), moving);
    expect(done.how).toBe('gaveUp');
    expect(done.following).toMatchObject({ hops: maxHops, others: 3 });
    expect(done.sent).toHaveLength(1 + maxHops + 3);
    expect(new Set(done.sent.map(({ to }) => toHex(to))).size).toBe(done.sent.length);
  });

  test('F4: the others are chosen by the message, and were not asked before', () => {
    const at = line[3] ?? zero;
    const othersOf = (messageId: Uint8Array): readonly string[] => {
      const asked = { ...openFollowing(knowing(at), inZero, messageId, first(at)), hops: maxHops };
      const found: string[] = [];
      let step: FollowStep = { kind: 'send', following: asked };
      while (step.kind === 'send') {
        found.push(toHex(step.following.to));
        step = stepFollowing(seenBy(knowing(at)), step.following, { kind: 'silent' });
      }
      return found.slice(1);
    };
    const chosen = othersOf(message);
    expect(chosen).toHaveLength(3);
    expect(chosen).not.toContain(toHex(first(at)));
    expect(othersOf(message)).toEqual(chosen);
    const times = Array.from({ length: 20 }, (_, n) => othersOf(sha256(Uint8Array.of(n))).join());
    expect(new Set(times).size).toBeGreaterThan(10);
  });

  test('F4: two others are silent or lie, and the third takes it', () => {
    const newest = line[maxHops] ?? zero;
    let others = 0;
    const done = follow(knowing(zero), inZero, first(zero), {
      answer: (to, key) => {
        if (!equalBytes(key, keyOf(newest))) return moving.answer(to, key);
        others += 1;
        if (others === 4) return 'taken';
        return others === 2 ? 'silent' : proofOf(sign(k1));
      },
    });
    expect(done.how).toBe('taken');
    expect(done.sent).toHaveLength(1 + maxHops + 3);
  });

  test('N30: liars that show, hide and repeat what they like get seven questions at most', () => {
    const all = [born, k1, one, ...line, genesis('elsewhere', 1)];
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 150; seed++) {
      let turn = 0;
      const draw = (many: number): number => {
        turn += 1;
        return (sha256(utf8(`${seed}/${turn}`))[0] ?? 0) % many;
      };
      const lie = (): SectionProof => {
        const living = all[draw(all.length)] ?? born;
        const page = draw(3) === 0;
        return page
          ? { links: living.chain.slice(draw(4)), authority: null }
          : proofOf(sign(living));
      };
      const answer = (): Answer => (['silent', 'noProof'] as const)[draw(16)] ?? lie();
      const done = follow(knowing(zero), inZero, first(zero), { answer, page: lie });
      expect(done.how).toBe('gaveUp');
      expect(done.sent.length).toBeLessThanOrEqual(1 + maxHops + 3);
      expect(done.checks).toBeLessThanOrEqual(done.sent.length);
      outcomes.add(`${done.following.hops}`);
    }
    expect([...outcomes].sort()).toEqual(['0', '1', '2', '3']);
  });

  test('planted: N30: whoever goes on without a strictly newer key, or a bound, asks for ever', () => {
    const again: typeof stepFollowing = (view, following, event) => {
      const step = stepFollowing(view, following, event);
      const isProof = event.kind === 'checked' || event.kind === 'refused';
      return step.kind === 'giveUp' && isProof ? { kind: 'send', following } : step;
    };
    const unbounded: typeof stepFollowing = (view, following, event) =>
      stepFollowing(view, { ...following, hops: 0 }, event);
    const stale: Peers = { answer: () => proofOf(sign(k1)) };
    expect(follow(knowing(zero), inZero, first(zero), stale, again).how).toBe('forEver');
    expect(follow(knowing(zero), inZero, first(zero), moving, unbounded).sent).toHaveLength(
      line.length,
    );
  });
});

const flipped = (bytes: Uint8Array): Uint8Array =>
  bytes.map((byte, n) => (n === 5 ? byte ^ 1 : byte));
