/**
 * Goal: what one elder sends fills only its own share of another elder's tables (N9), and forwarded
 * bytes never make an honest elder look faulty.
 * Method: one elder by hand, the others as signers; the same flood against an engine that drops
 * nothing.
 */
import { describe, expect, test } from 'vitest';
import { compareBytes, equalBytes, utf8 } from '#core/codec/bytes.ts';
import type { Effect } from '#core/machine.ts';
import {
  agreementRules,
  createAgreement,
  decodeAgreementMessage,
  deferredIn,
  encodeAgreementMessage,
  maxProposals,
  proposalHash,
  roundChangesDigest,
  type Agreement,
  type AgreementConfig,
  type AgreementMessage,
  type AgreementRules,
  type AgreementState,
  type QuorumCertificate,
  type RoundChange,
} from '#protocol/agreement/index.ts';
import { logConfig, toyElders } from '../../sim/agreement/agreement-log.ts';
import { adversarySigner } from '../../sim/agreement/agreement-adversaries.ts';

const elders = toyElders(7);
const [self] = elders;
if (self === undefined) throw new Error('seven elders');
const config: AgreementConfig = {
  ...logConfig(elders, self, { generations: 1, offers: () => [] }),
  generation: 0n,
};
const context = { now: 0, entropy: new Uint8Array(32) };
const generation = 0n;
const idOf = (index: number): string => elders[index]?.id ?? '';
const sorted = (hashes: readonly Uint8Array[]): readonly Uint8Array[] =>
  [...hashes].sort(compareBytes);

type Verdict = 'valid' | 'later' | 'invalid';

/** One elder whose jobs are answered immediately, by the prefix of the proposal's text. */
function elderAt(own: AgreementConfig = config, rules: AgreementRules = agreementRules) {
  const machine = createAgreement(rules);
  let state: AgreementState = machine.start(own, [], context).state;
  let jobs = 0;
  let isSettled = false;
  const judge = (proposal: Uint8Array): Verdict => {
    const text = new TextDecoder().decode(proposal);
    if (text.startsWith('snap:')) return isSettled ? 'valid' : 'later';
    return text.startsWith('ok:') ? 'valid' : 'invalid';
  };
  const done: Effect<Agreement>[] = [];
  const take = (step: { state: AgreementState; effects: readonly Effect<Agreement>[] }): void => {
    state = step.state;
    for (const effect of step.effects) {
      done.push(effect);
      if (effect.kind !== 'compute') continue;
      jobs += 1;
      const result = { kind: judge(effect.job.proposal) } as const;
      take(machine.step(own, state, { kind: 'computed', id: effect.id, result }, context));
    }
  };
  const step = (event: Parameters<typeof machine.step>[2]): readonly Effect<Agreement>[] => {
    done.length = 0;
    take(machine.step(own, state, event, context));
    return [...done];
  };
  return {
    receive: (index: number, message: AgreementMessage) => {
      const decoded = decodeAgreementMessage(encodeAgreementMessage(message));
      if (!decoded.ok) throw new Error('a message that passes the codec');
      return step({ kind: 'received', from: idOf(index), message: decoded.value });
    },
    offer: (proposal: Uint8Array) => step({ kind: 'input', input: { kind: 'propose', proposal } }),
    retry: (only: readonly Uint8Array[]) => {
      isSettled = true;
      return step({ kind: 'input', input: { kind: 'retry', only } });
    },
    fire: (timer: Agreement['timer']) => step({ kind: 'timerFired', timer }),
    jobs: () => jobs,
    open: () => {
      if (state.kind !== 'open') throw new Error('still open');
      return state;
    },
  };
}

type Elder = ReturnType<typeof elderAt>;

/** Each round another round change with sixteen proposals that cannot be validated yet. */
function flood(elder: Elder, voter: number, rounds: number): void {
  const faulty = adversarySigner(elders, voter);
  for (let round = 1; round <= rounds; round++) {
    const proposals = Array.from({ length: maxProposals }, (_, n) =>
      utf8(`snap:${voter} ${round} ${n}`),
    );
    const roundChange = faulty.roundChange(
      generation,
      round,
      null,
      sorted(proposals.map(proposalHash)),
    );
    elder.receive(voter, { kind: 'roundChanges', generation, roundChanges: [roundChange] });
    elder.receive(voter, { kind: 'proposals', generation, proposals });
  }
}

const voteFor = (index: number, proposals: readonly Uint8Array[]): AgreementMessage => ({
  kind: 'prevote',
  generation,
  prevote: adversarySigner(elders, index).prevote(
    generation,
    0,
    sorted(proposals.map(proposalHash)),
  ),
  proposals,
});

const kinds = (effects: readonly Effect<Agreement>[]): readonly string[] =>
  effects.map(({ kind }) => kind);

describe('N9: each voter has its own share', () => {
  test('after a flood of unverifiable proposals an elder still proposes and counts prevotes', () => {
    const elder = elderAt();
    flood(elder, 5, 20);
    flood(elder, 6, 20);
    expect(kinds(elder.offer(utf8('ok:mine')))).toContain('persist');
    for (const index of [1, 2, 3, 4]) elder.receive(index, voteFor(index, [utf8('ok:theirs')]));
    expect([...elder.open().prevotes.keys()].sort()).toEqual([0, 1, 2, 3, 4]);
  });

  test('two flooding elders fill at most two shares', () => {
    // A prevote and a precommit cite one value each, a round change two.
    const share = 4 * maxProposals;
    const elder = elderAt();
    flood(elder, 5, 40);
    flood(elder, 6, 40);
    expect(elder.open().proposals.size).toBeLessThanOrEqual(2 * share);
    expect(deferredIn(elder.open()).every(({ voters }) => voters.length === 1)).toBe(true);

    const dropsNothing = elderAt(config, { ...agreementRules, dropUncited: (state) => state });
    flood(dropsNothing, 5, 40);
    expect(dropsNothing.open().proposals.size).toBeGreaterThan(2 * share);
  });

  test('an honest elder’s proposals are held, however many statements it signed before', () => {
    const elder = elderAt();
    const h = adversarySigner(elders, 1);
    const proposals = [utf8('ok:a'), utf8('ok:b')];
    const hashes = sorted(proposals.map(proposalHash));
    elder.receive(1, voteFor(1, proposals));
    for (let round = 1; round <= 30; round++) {
      const roundChange = h.roundChange(generation, round, null, hashes);
      elder.receive(1, { kind: 'roundChanges', generation, roundChanges: [roundChange] });
    }
    expect(elder.open().roundChanges.get(1)?.round).toBe(30);
    expect(elder.jobs()).toBe(2);
  });

  test('while a statement’s proposals are being validated, its voter can add no others', () => {
    const rules = { ...agreementRules };
    const machine = createAgreement(rules);
    let state: AgreementState = machine.start(config, [], context).state;
    let jobs = 0;
    const receive = (message: AgreementMessage): void => {
      const event = { kind: 'received', from: idOf(6), message } as const;
      const step = machine.step(config, state, event, context);
      state = step.state;
      jobs += step.effects.filter(({ kind }) => kind === 'compute').length;
    };
    const faulty = adversarySigner(elders, 6);
    for (let round = 1; round <= 10; round++) {
      const proposals = Array.from({ length: maxProposals }, (_, n) => utf8(`ok:${round} ${n}`));
      const roundChange = faulty.roundChange(
        generation,
        round,
        null,
        sorted(proposals.map(proposalHash)),
      );
      receive({ kind: 'roundChanges', generation, roundChanges: [roundChange] });
      receive({ kind: 'proposals', generation, proposals });
    }
    expect(jobs).toBe(maxProposals);
  });

  test('retry validates only the named proposals again', () => {
    const elder = elderAt();
    flood(elder, 6, 1);
    const before = elder.jobs();
    const [first] = deferredIn(elder.open());
    if (first === undefined) throw new Error('one that waits');
    elder.retry([first.proposal]);
    expect(elder.jobs() - before).toBe(1);
    expect(deferredIn(elder.open())).toHaveLength(maxProposals - 1);
  });

  test('copies of one act take one entry in a round change', () => {
    const subjectOf = (proposal: Uint8Array): string =>
      new TextDecoder().decode(proposal).split('#')[0] ?? '';
    const elder = elderAt({ ...config, subjectOf });
    const copies = Array.from({ length: maxProposals }, (_, n) => utf8(`ok:join#${n}`));
    elder.receive(6, voteFor(6, copies));
    expect(elder.open().validHashes).toHaveLength(1);
    elder.offer(utf8('ok:leave#0'));
    elder.fire('roundTimeout');
    expect(elder.open().validHashes).toHaveLength(2);
  });

  test('an elder’s own proposal is in its round change, however full the list', () => {
    const elder = elderAt();
    const others = Array.from({ length: maxProposals }, (_, n) => utf8(`ok:${n}`));
    elder.receive(6, voteFor(6, others));
    const own = utf8('ok:own');
    elder.offer(own);
    const { validHashes } = elder.open();
    expect(validHashes).toHaveLength(maxProposals);
    expect(validHashes.some((hash) => equalBytes(hash, proposalHash(own)))).toBe(true);
  });

  test('proposals not served by a faulty sender are requested from the next sender', () => {
    const elder = elderAt();
    const roundChange = adversarySigner(elders, 1).roundChange(generation, 1, null, [
      proposalHash(utf8('ok:a')),
    ]);
    const message = { kind: 'roundChanges', generation, roundChanges: [roundChange] } as const;
    elder.receive(6, message); // And it serves no proposals.
    const asked = elder
      .receive(1, message)
      .flatMap((effect) => (effect.kind === 'send' ? [effect] : []));
    expect(asked.map(({ to, message: { kind } }) => [to, kind])).toEqual([
      [[idOf(1)], 'requestProposals'],
    ]);
  });
});

describe('honest elders do not repeat altered bytes', () => {
  const proposal = utf8('ok:a');
  const value = [proposalHash(proposal)];

  /** All seven received five equal prevotes of round 0 and send the lock in their round change to 1. */
  const lock: QuorumCertificate = {
    round: 0,
    value,
    prevotes: [1, 2, 3, 4, 5].map((voter) => ({
      voter,
      roundChangesDigest: roundChangesDigest([]),
      signature: adversarySigner(elders, voter).prevote(generation, 0, value).signature,
    })),
  };
  const spoil = (roundChange: RoundChange): RoundChange => {
    const prevotes = lock.prevotes.map((vote) => ({ ...vote, signature: new Uint8Array(64) }));
    return { ...roundChange, highest: { ...lock, prevotes } };
  };
  const roundChangeOf = (voter: number): RoundChange =>
    adversarySigner(elders, voter).roundChange(generation, 1, lock, value);

  test('a preferred voter that alters a lock is followed with the verified copy', () => {
    const elder = elderAt();
    elder.receive(1, voteFor(1, [proposal]));
    const roundChanges = [1, 2, 3, 4, 5].map(roundChangeOf);
    for (const roundChange of roundChanges) {
      elder.receive(roundChange.voter, {
        kind: 'roundChanges',
        generation,
        roundChanges: [roundChange],
      });
    }
    // In round 1 of generation 0 the others wait for the prevote of elder 1.
    const preferred = adversarySigner(elders, 1);
    const prevote = {
      ...preferred.prevote(generation, 1, value, roundChanges),
      roundChanges: roundChanges.map(spoil),
    };
    const sent = elder.receive(1, { kind: 'prevote', generation, prevote, proposals: [] });
    const own = sent.flatMap((effect) =>
      effect.kind === 'send' && effect.message.kind === 'prevote' ? [effect.message.prevote] : [],
    );
    expect(own).toHaveLength(1);
    expect(own[0]?.roundChanges.map(({ highest }) => highest)).toEqual(
      roundChanges.map(() => lock),
    );
    // Another elder without these round changes accepts the prevote and blames no elder.
    const other = elderAt({ ...config, self: elders[6]?.name ?? config.self });
    const [first] = own;
    if (first === undefined) throw new Error('a vote');
    const taken = other.receive(0, { kind: 'prevote', generation, prevote: first, proposals: [] });
    expect(kinds(taken)).not.toContain('blame');
  });
});
