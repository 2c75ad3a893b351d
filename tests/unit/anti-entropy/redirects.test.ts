/**
 * Goal: a message refused with a proof is delivered or sent to other elders, and never loops (N30).
 * Method: one sender, elders of a toy network that hands over and splits, and liars that send
 * arbitrary proofs; requests and pairings are counted.
 */
import { describe, expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { equalBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  checkDestination,
  maxHops,
  startRedirects,
  startChainSync,
  chainPageFor,
  stepRedirects,
  stepChainSync,
  type RedirectEvent,
  type RedirectStep,
  type RedirectView,
} from '#protocol/anti-entropy/index.ts';
import { sectionProofOf, type SectionProof, type SectionTree } from '#protocol/section/index.ts';
import { toXorName } from '#address/xor-name.ts';
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
import { checked, keyOf, knowing as knowingOf, lineFrom } from './support.ts';

const genesisSection = genesis('follow', 10);
const { anchor } = genesisSection;
const k1 = only(succeed(genesisSection, 'f1').children);
const [zero, one] = both(succeed(k1, 'f zero', 'f one').children);
const line = lineFrom(zero, 8, 'f hop');
const inZero = nameUnder(parsePrefix('0') ?? EMPTY_PREFIX, 'a thing');
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'a thing');
const knowing = (...all: readonly TestSection[]) => knowingOf(anchor, ...all);
const message = sha256(utf8('a message'));
const namesOf = (section: TestSection) => section.state.authority.elders.map(({ name }) => name);
const first = (section: TestSection): Uint8Array => namesOf(section)[0] ?? inZero;
const isElderOf = (section: TestSection, name: Uint8Array): boolean =>
  namesOf(section).some((each) => equalBytes(each, name));
const seenBy = (tree: SectionTree): RedirectView => ({ tree, isReachable: () => true });

/** An elder's answer: accepted, refused with a proof or without one, or none. */
type Answer = 'accepted' | 'noProof' | 'unresponsive' | SectionProof;
interface Peers {
  readonly answer: (to: Uint8Array, key: Uint8Array) => Answer;
  /** Its pages of links; null for none. */
  readonly page?: (from: Uint8Array) => SectionProof | null;
}

/** A sender like the light node, without the waiting. Stops after a hundred requests. */
function follow(
  start: SectionTree,
  name: Uint8Array,
  to: Uint8Array,
  { answer, page = () => null }: Peers,
  step: typeof stepRedirects = stepRedirects,
) {
  let tree = start;
  let state = startRedirects(tree, name, message, to);
  const sent: { to: Uint8Array; key: Uint8Array }[] = [];
  const seen = { checks: 0, reads: 0 };
  const learn = (proof: SectionProof): boolean => {
    const updated = checked(tree, proof);
    tree = updated ?? tree;
    return updated !== undefined;
  };
  const read = (): void => {
    let sync = startChainSync(tree, name);
    for (;;) {
      seen.reads += 1;
      const shown = page(sync.from);
      const isProven = shown !== null && learn(shown);
      const turned = stepChainSync(tree, sync, isProven ? shown : null);
      if (turned.kind !== 'ask') return;
      ({ sync } = turned);
    }
  };
  for (;;) {
    sent.push({ to: state.to, key: state.key });
    const reply = answer(state.to, state.key);
    const end = (how: 'taken' | 'gaveUp' | 'forEver') => ({ how, sent, tree, state, ...seen });
    if (reply === 'accepted') return end('taken');
    if (sent.length > 100) return end('forEver');
    let event: RedirectEvent =
      reply === 'unresponsive'
        ? { kind: 'unresponsive' }
        : { kind: 'refused', proof: reply === 'noProof' ? null : reply };
    for (;;) {
      const next: RedirectStep = step(seenBy(tree), state, event);
      if (next.kind === 'giveUp') return end('gaveUp');
      if (next.kind === 'send') {
        ({ state } = next);
        break;
      }
      if (next.kind === 'check') {
        seen.checks += 1;
        event = { kind: 'checked', holds: learn(next.proof) };
      } else {
        read();
        event = { kind: 'pagesRead' };
      }
    }
  }
}

/** Elders of a section that checks destinations as in production. */
function elders(own: TestSection, name: Uint8Array, ...others: readonly TestSection[]): Peers {
  const view = { tree: knowing(...others, own), own: sign(own, 0) };
  return {
    answer: (to, destinationKey) => {
      const destination = { destinationName: toXorName(name), destinationKey, generation: 0n };
      const check = checkDestination(view, destination);
      if (check.kind === 'accept') return isElderOf(own, to) ? 'accepted' : 'unresponsive';
      if (check.kind !== 'unknownKey') return check.proof;
      return { links: check.record === null ? [] : [check.record], authority: null };
    },
    page: (from) => chainPageFor(view.tree, from, view.own),
  };
}

describe('a sender that receives a newer key re-sends', () => {
  test('ANTI-ENTROPY-F2: a retry that proves a newer key → the same bytes under that key', () => {
    const done = follow(knowing(k1), inZero, first(k1), elders(zero, inZero));
    expect(done).toMatchObject({ how: 'taken', checks: 1, reads: 0 });
    expect(done.sent.map(({ key }) => key)).toEqual([keyOf(k1), keyOf(zero)]);
    expect(done.state.hops).toBe(1);
  });

  test('ANTI-ENTROPY-F2: the same elder is asked again if it belongs to the newer key too', () => {
    const [, elder = inZero] = namesOf(zero);
    const pending = startRedirects(knowing(k1), inZero, message, elder);
    const step = stepRedirects(seenBy(knowing(zero)), pending, { kind: 'checked', holds: true });
    expect(step).toMatchObject({ kind: 'send', state: { to: elder, key: keyOf(zero) } });
  });

  test('ANTI-ENTROPY-F2: a redirect into another branch is followed, even to a key of an earlier epoch', () => {
    const [, , , later = zero] = line;
    const other = elders(one, inOne);
    const done = follow(knowing(later), inOne, first(later), {
      answer: (to, key) => (isElderOf(one, to) ? other.answer(to, key) : sectionProofOf(sign(one))),
    });
    expect(done).toMatchObject({ how: 'taken', checks: 1 });
    expect(done.sent.map(({ key }) => key)).toEqual([keyOf(later), keyOf(one)]);
  });

  test('ANTI-ENTROPY-F3: pages are no hops: forty keys are read in three pages and one hop', () => {
    const far = lineFrom(zero, 40, 'f far').at(-1) ?? zero;
    const done = follow(knowing(zero), inZero, first(zero), elders(far, inZero));
    expect(done).toMatchObject({ how: 'taken', checks: 1, reads: 2 });
    expect(done.sent).toHaveLength(2);
    expect(done.state.hops).toBe(1);
  });

  test('ANTI-ENTROPY-F3: no addresses of the newer key’s elders → the chain towards them is synced', () => {
    const pending = startRedirects(knowing(k1), inZero, message, first(k1));
    const view = { tree: knowing(zero), isReachable: () => false };
    expect(stepRedirects(view, pending, { kind: 'checked', holds: true })).toEqual({
      kind: 'readPages',
    });
    expect(stepRedirects(view, pending, { kind: 'pagesRead' })).toMatchObject({ kind: 'send' });
    // Pages without new links are no reason to ask again.
    const none = stepRedirects(seenBy(knowing(k1)), pending, { kind: 'pagesRead' });
    expect(none).toEqual({ kind: 'giveUp' });
  });

  describe('ANTI-ENTROPY-F2: a sender that knows only the link of the right key, and asked none of its elders,', () => {
    // The record that ended the key before names both halves; the state of one of them is unknown.
    const start = knowing(k1, zero);
    const asked = namesOf(k1).find((name) => !isElderOf(one, name)) ?? inZero;
    const inOneOnly =
      (others: Peers): Peers['answer'] =>
      (to, key) =>
        isElderOf(one, to) && equalBytes(key, keyOf(one)) ? 'accepted' : others.answer(to, key);

    test('re-sends to them under the same key, with their state from another elder', () => {
      const done = follow(start, inOne, asked, { answer: inOneOnly(elders(zero, inOne, one)) });
      expect(done).toMatchObject({ how: 'taken', checks: 1, reads: 0 });
      expect(done.sent.map(({ key }) => key)).toEqual([keyOf(one), keyOf(one)]);
    });

    test('syncs the state from an elder that sends nothing new', () => {
      const done = follow(start, inOne, asked, {
        answer: inOneOnly({ answer: () => sectionProofOf(sign(zero)) }),
        page: (from) => chainPageFor(knowing(one), from, sign(one, 0)),
      });
      expect(done).toMatchObject({ how: 'taken', checks: 0, reads: 1 });
      expect(done.sent).toHaveLength(2);
    });

    test('gives up when neither helps, and asks none of those elders twice', () => {
      const nothing = follow(start, inOne, asked, { answer: () => sectionProofOf(sign(zero)) });
      expect(nothing).toMatchObject({ how: 'gaveUp', reads: 1 });
      expect(nothing.sent).toHaveLength(1);
      const repeated = follow(start, inOne, asked, { answer: () => sectionProofOf(sign(one)) });
      expect(repeated).toMatchObject({ how: 'gaveUp', checks: 1 });
      expect(repeated.sent).toHaveLength(2);
    });
  });

  test('ANTI-ENTROPY-F1: no chain is synced for the key just used from one of its own elders', () => {
    const tree = knowing(zero);
    const view = { tree, isReachable: () => false };
    const pending = startRedirects(tree, inZero, message, first(zero));
    const refused = { kind: 'refused', proof: sectionProofOf(sign(zero)) } as const;
    expect(stepRedirects(view, pending, refused)).toEqual({ kind: 'giveUp' });
  });

  test('ANTI-ENTROPY-F1: links learnt meanwhile from another message are used without a pairing', () => {
    const pending = startRedirects(knowing(k1), inZero, message, first(k1));
    const refused = { kind: 'refused', proof: sectionProofOf(sign(zero)) } as const;
    const step = stepRedirects(seenBy(knowing(zero)), pending, refused);
    expect(step).toMatchObject({ kind: 'send', state: { key: keyOf(zero), hops: 1 } });
  });
});

describe('a sender that receives anything else gives up', () => {
  const unresponsive: Peers = { answer: () => 'unresponsive' };
  const showing = (proof: SectionProof): Peers => ({ answer: () => proof });

  test('ANTI-ENTROPY-F1, N30: the key used, an older, a foreign or an unproven one → no progress', () => {
    const tree = knowing(zero);
    // A superseded key with a later generation would cost a pairing, and proves nothing new.
    const grown = [1, 2, 3].reduce((section) => grow(section), k1);
    for (const section of [zero, k1, genesisSection, grown, genesis('elsewhere', 1)]) {
      const done = follow(tree, inZero, first(zero), showing(sectionProofOf(sign(section))));
      expect(done).toMatchObject({ how: 'gaveUp', checks: 0, reads: 0, tree });
      expect(done.sent).toHaveLength(1);
    }
    const next = sign(line[1] ?? zero);
    const forged: readonly SectionProof[] = [
      {
        ...sectionProofOf(next),
        links: next.chain.map((link) => ({ ...link, signature: flipped(link.signature) })),
      },
      sectionProofOf({ ...next, signature: flipped(next.signature) }),
    ];
    for (const proof of forged) {
      const done = follow(tree, inZero, first(zero), showing(proof));
      expect(done).toMatchObject({ how: 'gaveUp', checks: 1, tree });
      expect(done.sent).toHaveLength(1);
    }
  });

  test('ANTI-ENTROPY-F1: another section than the name’s is added to the tree, and is no hop', () => {
    const done = follow(knowing(zero), inZero, first(zero), showing(sectionProofOf(sign(one))));
    expect(done).toMatchObject({ how: 'gaveUp', checks: 1 });
    expect(done.sent).toHaveLength(1);
  });

  test('ANTI-ENTROPY-F4: no answer, or no proof, gives up immediately: the caller asks another elder', () => {
    expect(follow(knowing(zero), inZero, first(zero), unresponsive).sent).toHaveLength(1);
    const noProof = follow(knowing(zero), inZero, first(zero), { answer: () => 'noProof' });
    expect(noProof).toMatchObject({ how: 'gaveUp', checks: 0 });
  });
});

/** All elders refuse with the key after the one used. */
const moving: Peers = {
  answer: (_, key) => {
    const at = line.findIndex((section) => equalBytes(keyOf(section), key));
    const next = line[at + 1];
    return next === undefined ? 'unresponsive' : sectionProofOf(sign(next, 1));
  },
};

describe('three hops, three fallback elders, then the end', () => {
  test('ANTI-ENTROPY-F4, N30: after three hops three other elders are asked, once, then the sender gives up', () => {
    const done = follow(knowing(zero), inZero, first(zero), moving);
    expect(done.how).toBe('gaveUp');
    expect(done.state).toMatchObject({ hops: maxHops, others: 3 });
    expect(done.sent).toHaveLength(1 + maxHops + 3);
    expect(new Set(done.sent.map(({ to }) => toHex(to))).size).toBe(done.sent.length);
  });

  test('ANTI-ENTROPY-F4: the fallback elders depend on the message, and were not asked before', () => {
    const at = line[3] ?? zero;
    const othersOf = (messageId: Uint8Array): readonly string[] => {
      const asked = { ...startRedirects(knowing(at), inZero, messageId, first(at)), hops: maxHops };
      const found: string[] = [];
      let step: RedirectStep = { kind: 'send', state: asked };
      while (step.kind === 'send') {
        found.push(toHex(step.state.to));
        step = stepRedirects(seenBy(knowing(at)), step.state, { kind: 'unresponsive' });
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

  test('ANTI-ENTROPY-F4: two fallback elders fail or lie, and the third accepts', () => {
    const newest = line[maxHops] ?? zero;
    let others = 0;
    const done = follow(knowing(zero), inZero, first(zero), {
      answer: (to, key) => {
        if (!equalBytes(key, keyOf(newest))) return moving.answer(to, key);
        others += 1;
        if (others === 4) return 'accepted';
        return others === 2 ? 'unresponsive' : sectionProofOf(sign(k1));
      },
    });
    expect(done.how).toBe('taken');
    expect(done.sent).toHaveLength(1 + maxHops + 3);
  });

  test('N30: liars that send, withhold and repeat arbitrary proofs get at most seven requests', () => {
    const all = [genesisSection, k1, one, ...line, genesis('elsewhere', 1)];
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 150; seed++) {
      let turn = 0;
      const draw = (many: number): number => {
        turn += 1;
        return (sha256(utf8(`${seed}/${turn}`))[0] ?? 0) % many;
      };
      const lyingAnswer = (): SectionProof => {
        const section = all[draw(all.length)] ?? genesisSection;
        const page = draw(3) === 0;
        return page
          ? { links: section.chain.slice(draw(4)), authority: null }
          : sectionProofOf(sign(section));
      };
      const answer = (): Answer =>
        (['unresponsive', 'noProof'] as const)[draw(16)] ?? lyingAnswer();
      const done = follow(knowing(zero), inZero, first(zero), { answer, page: lyingAnswer });
      expect(done.how).toBe('gaveUp');
      expect(done.sent.length).toBeLessThanOrEqual(1 + maxHops + 3);
      expect(done.checks).toBeLessThanOrEqual(done.sent.length);
      outcomes.add(`${done.state.hops}`);
    }
    expect([...outcomes].sort()).toEqual(['0', '1', '2', '3']);
  });

  test('planted: N30: a sender that needs no strictly newer key, or has no bound, never stops', () => {
    const again: typeof stepRedirects = (view, state, event) => {
      const step = stepRedirects(view, state, event);
      const isProof = event.kind === 'checked' || event.kind === 'refused';
      return step.kind === 'giveUp' && isProof ? { kind: 'send', state } : step;
    };
    const unbounded: typeof stepRedirects = (view, following, event) =>
      stepRedirects(view, { ...following, hops: 0 }, event);
    const stale: Peers = { answer: () => sectionProofOf(sign(k1)) };
    expect(follow(knowing(zero), inZero, first(zero), stale, again).how).toBe('forEver');
    expect(follow(knowing(zero), inZero, first(zero), moving, unbounded).sent).toHaveLength(
      line.length,
    );
  });
});

const flipped = (bytes: Uint8Array): Uint8Array =>
  bytes.map((byte, n) => (n === 5 ? byte ^ 1 : byte));
