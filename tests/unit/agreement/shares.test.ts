/**
 * Goal: what one elder sends fills its own share of an elder's tables and nobody else's (N9), and what
 * others carry makes nobody honest look like a liar.
 * Method: one elder by hand, the others as signers; the same flood against an engine that forgets nothing.
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
  reportsDigest,
  type Agreement,
  type AgreementConfig,
  type AgreementMessage,
  type AgreementRules,
  type AgreementState,
  type Certificate,
  type SignedReport,
} from '#protocol/agreement/index.ts';
import { logConfig, toyElders } from '../../sim/agreement-log.ts';
import { liar } from '../../sim/agreement-lies.ts';

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

/** One elder whose jobs are answered at once, by what the text of a proposal begins with. */
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
    hear: (index: number, message: AgreementMessage) => {
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

/** Every round another report with sixteen proposals that nobody can judge. */
function flood(elder: Elder, voter: number, rounds: number): void {
  const lie = liar(elders, voter);
  for (let round = 1; round <= rounds; round++) {
    const proposals = Array.from({ length: maxProposals }, (_, n) =>
      utf8(`snap:${voter} ${round} ${n}`),
    );
    const report = lie.report(generation, round, null, sorted(proposals.map(proposalHash)));
    elder.hear(voter, { kind: 'reports', generation, reports: [report] });
    elder.hear(voter, { kind: 'proposals', generation, proposals });
  }
}

const voteFor = (index: number, proposals: readonly Uint8Array[]): AgreementMessage => ({
  kind: 'vote',
  generation,
  vote: liar(elders, index).vote(generation, 0, sorted(proposals.map(proposalHash))),
  proposals,
});

const kinds = (effects: readonly Effect<Agreement>[]): readonly string[] =>
  effects.map(({ kind }) => kind);

describe('N9: each voter has a share of its own', () => {
  test('after a flood of proposals that nobody can judge an elder still offers and counts', () => {
    const elder = elderAt();
    flood(elder, 5, 20);
    flood(elder, 6, 20);
    expect(kinds(elder.offer(utf8('ok:mine')))).toContain('persist');
    for (const index of [1, 2, 3, 4]) elder.hear(index, voteFor(index, [utf8('ok:theirs')]));
    expect([...elder.open().votes.keys()].sort()).toEqual([0, 1, 2, 3, 4]);
  });

  test('two flooding elders hold no more than two shares', () => {
    // What a vote, a strong statement and a report cite, the report twice.
    const share = 4 * maxProposals;
    const elder = elderAt();
    flood(elder, 5, 40);
    flood(elder, 6, 40);
    expect(elder.open().proposals.size).toBeLessThanOrEqual(2 * share);
    expect(deferredIn(elder.open()).every(({ voters }) => voters.length === 1)).toBe(true);

    const forgetsNothing = elderAt(config, { ...agreementRules, forget: (state) => state });
    flood(forgetsNothing, 5, 40);
    expect(forgetsNothing.open().proposals.size).toBeGreaterThan(2 * share);
  });

  test('what an honest elder cites is held however many statements it has made before', () => {
    const elder = elderAt();
    const h = liar(elders, 1);
    const proposals = [utf8('ok:a'), utf8('ok:b')];
    const hashes = sorted(proposals.map(proposalHash));
    elder.hear(1, voteFor(1, proposals));
    for (let round = 1; round <= 30; round++) {
      const report = h.report(generation, round, null, hashes);
      elder.hear(1, { kind: 'reports', generation, reports: [report] });
    }
    expect(elder.open().reports.get(1)?.round).toBe(30);
    expect(elder.jobs()).toBe(2);
  });

  test('while the proposals of a statement are being judged its voter brings no further ones', () => {
    const rules = { ...agreementRules };
    const machine = createAgreement(rules);
    let state: AgreementState = machine.start(config, [], context).state;
    let jobs = 0;
    const hear = (message: AgreementMessage): void => {
      const event = { kind: 'received', from: idOf(6), message } as const;
      const step = machine.step(config, state, event, context);
      state = step.state;
      jobs += step.effects.filter(({ kind }) => kind === 'compute').length;
    };
    const lie = liar(elders, 6);
    for (let round = 1; round <= 10; round++) {
      const proposals = Array.from({ length: maxProposals }, (_, n) => utf8(`ok:${round} ${n}`));
      const report = lie.report(generation, round, null, sorted(proposals.map(proposalHash)));
      hear({ kind: 'reports', generation, reports: [report] });
      hear({ kind: 'proposals', generation, proposals });
    }
    expect(jobs).toBe(maxProposals);
  });

  test('only what may be judged differently now is judged again', () => {
    const elder = elderAt();
    flood(elder, 6, 1);
    const before = elder.jobs();
    const [first] = deferredIn(elder.open());
    if (first === undefined) throw new Error('one that waits');
    elder.retry([first.proposal]);
    expect(elder.jobs() - before).toBe(1);
    expect(deferredIn(elder.open())).toHaveLength(maxProposals - 1);
  });

  test('copies of one wish take one place in what an elder reports', () => {
    const subjectOf = (proposal: Uint8Array): string =>
      new TextDecoder().decode(proposal).split('#')[0] ?? '';
    const elder = elderAt({ ...config, subjectOf });
    const copies = Array.from({ length: maxProposals }, (_, n) => utf8(`ok:join#${n}`));
    elder.hear(6, voteFor(6, copies));
    expect(elder.open().seen).toHaveLength(1);
    elder.offer(utf8('ok:leave#0'));
    elder.fire('pace');
    expect(elder.open().seen).toHaveLength(2);
  });

  test('an elder’s own offer has a place in what it reports, however full the list is', () => {
    const elder = elderAt();
    const others = Array.from({ length: maxProposals }, (_, n) => utf8(`ok:${n}`));
    elder.hear(6, voteFor(6, others));
    const own = utf8('ok:own');
    elder.offer(own);
    const { seen } = elder.open();
    expect(seen).toHaveLength(maxProposals);
    expect(seen.some((hash) => equalBytes(hash, proposalHash(own)))).toBe(true);
  });

  test('a statement that a liar carried first is asked of the next elder that carries it', () => {
    const elder = elderAt();
    const report = liar(elders, 1).report(generation, 1, null, [proposalHash(utf8('ok:a'))]);
    const message = { kind: 'reports', generation, reports: [report] } as const;
    elder.hear(6, message); // And it serves nothing.
    const asked = elder
      .hear(1, message)
      .flatMap((effect) => (effect.kind === 'send' ? [effect] : []));
    expect(asked.map(({ to, message: { kind } }) => [to, kind])).toEqual([[[idOf(1)], 'ask']]);
  });
});

describe('M4: nobody honest repeats what a liar spoiled', () => {
  const proposal = utf8('ok:a');
  const value = [proposalHash(proposal)];

  /** All seven have seen five equal votes of round 0 and report the lock in round 1. */
  const lock: Certificate = {
    round: 0,
    value,
    votes: [1, 2, 3, 4, 5].map((voter) => ({
      voter,
      reports: reportsDigest([]),
      signature: liar(elders, voter).vote(generation, 0, value).signature,
    })),
  };
  const spoil = (report: SignedReport): SignedReport => {
    const votes = lock.votes.map((vote) => ({ ...vote, signature: new Uint8Array(64) }));
    return { ...report, highest: { ...lock, votes } };
  };
  const reportOf = (voter: number): SignedReport =>
    liar(elders, voter).report(generation, 1, lock, value);

  test('a lead that spoils a lock it carries is followed with the copy that was checked', () => {
    const elder = elderAt();
    elder.hear(1, voteFor(1, [proposal]));
    const reports = [1, 2, 3, 4, 5].map(reportOf);
    for (const report of reports) {
      elder.hear(report.voter, { kind: 'reports', generation, reports: [report] });
    }
    // In round 1 of generation 0 the others wait for the vote of elder 1.
    const lead = liar(elders, 1);
    const vote = { ...lead.vote(generation, 1, value, reports), reports: reports.map(spoil) };
    const said = elder.hear(1, { kind: 'vote', generation, vote, proposals: [] });
    const own = said.flatMap((effect) =>
      effect.kind === 'send' && effect.message.kind === 'vote' ? [effect.message.vote] : [],
    );
    expect(own).toHaveLength(1);
    expect(own[0]?.reports.map(({ highest }) => highest)).toEqual(reports.map(() => lock));
    // Another elder, which has none of these reports, takes the vote and blames nobody.
    const other = elderAt({ ...config, self: elders[6]?.name ?? config.self });
    const [first] = own;
    if (first === undefined) throw new Error('a vote');
    const taken = other.hear(0, { kind: 'vote', generation, vote: first, proposals: [] });
    expect(kinds(taken)).not.toContain('blame');
  });
});
