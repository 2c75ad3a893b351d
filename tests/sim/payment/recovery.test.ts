/**
 * Goal: each rule of a recovery by ballots (SPENTBOOK-R3), as a short script without a network.
 * Method: the machines and jobs of one slot called directly; three spends of one coin.
 */
import { describe, expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { encodeTransaction, txidOf, type Transaction } from '#money/transaction.ts';
import {
  decodeSpentbookAnswer,
  decodeSpentbookFact,
  decodeSpentbookRequest,
  encodeSpentbookAnswer,
  encodeSpentbookFact,
  encodeSpentbookRequest,
  problemOfRecovery,
  reportBytes,
  slotEntry,
  verifyReport,
  type Recovery,
  type SignedReport,
} from '#protocol/spentbook/index.ts';
import { seedOf, toyIdentity } from '../../unit/money/fixtures.ts';
import {
  commit,
  configOf,
  keyImage,
  noSignature,
  prepare,
  prepareCertificate,
  recover,
  reportOf,
  scriptedElder,
  slot,
  toBob,
  toCarol,
  toDave,
  toy,
  type ScriptedElder,
} from './recovery-script.ts';

const seven = (): readonly ScriptedElder[] =>
  [0, 1, 2, 3, 4, 5, 6].map((index) => scriptedElder(index));
const reportsAt = (elders: readonly ScriptedElder[], ballot: number, by = toBob) =>
  elders.map((elder) => reportOf(elder.answer(recover(by, ballot))));
const free = (reports: readonly SignedReport[]): Recovery => ({
  reports: reports.slice(0, 5),
  top: null,
});

describe('recovery', () => {
  test('SPENTBOOK-R3: votes split 4 : 3 → five reports without a claim → the coin is spent at ballot 1', () => {
    const elders = seven();
    elders.forEach((elder, at) => elder.answer(prepare(at < 4 ? toBob : toCarol)));
    const recovery = free(reportsAt(elders, 1, toCarol));
    for (const elder of elders) {
      expect(elder.answer(prepare(toDave, 1, recovery))).toMatchObject({
        kind: 'prepared',
        ballot: 1,
      });
      const later = elder.answer(prepare(toBob, 1, recovery));
      expect(later).toMatchObject({ kind: 'conflict', vote: { ballot: 1, txid: txidOf(toDave) } });
      expect(elder.answer(commit(toDave, prepareCertificate(toDave, 1)))).toMatchObject({
        kind: 'committed',
        ballot: 1,
      });
    }
  });

  test('SPENTBOOK-R3: a promise → persisted before its report; nothing below it, also after a restart', () => {
    const elder = scriptedElder(0);
    elder.answer(prepare(toBob));
    const effects = elder.receive(recover(toBob, 3));
    expect(effects.map(({ kind }) => kind)).toEqual(['persist', 'send']);
    for (const each of [elder, elder.restart()]) {
      const lower = { kind: 'promised', ballot: 3 };
      expect(each.answer(prepare(toBob))).toMatchObject(lower);
      expect(each.answer(commit(toBob, prepareCertificate(toBob)))).toMatchObject(lower);
      expect(each.answer(recover(toBob, 2))).toMatchObject(lower);
      expect(each.disk).toHaveLength(2);
    }
  });

  test('SPENTBOOK-R3: a promise while a job runs → the job signs nothing', () => {
    const elder = scriptedElder(0);
    elder.answer(prepare(toCarol));
    elder.receive(commit(toBob, prepareCertificate(toBob)));
    expect(elder.receive(recover(toCarol, 1))).toHaveLength(2);
    expect(elder.finishJobs()).toMatchObject([{ kind: 'send', message: { kind: 'promised' } }]);
    const voter = scriptedElder(1);
    voter.answer(commit(toCarol, prepareCertificate(toCarol)));
    voter.receive(prepare(toCarol));
    expect(voter.receive(recover(toCarol, 1))).toHaveLength(2);
    expect(voter.finishJobs()).toMatchObject([{ kind: 'send', message: { kind: 'promised' } }]);
  });

  test('SPENTBOOK-R3: a COMMIT while a candidate is verified → the report contains its bundle', () => {
    const elder = scriptedElder(0);
    elder.receive(recover(toCarol, 1));
    elder.receive(commit(toBob, prepareCertificate(toBob)));
    const sent = elder.finishJobs().flatMap((each) => (each.kind === 'send' ? [each.message] : []));
    // The jobs end in the order they began: the promise comes first and refuses the commit.
    expect(sent.map(({ kind }) => kind)).toEqual(['report', 'promised']);
    const other = scriptedElder(1);
    other.receive(commit(toBob, prepareCertificate(toBob)));
    other.receive(recover(toCarol, 1));
    const kinds = other
      .finishJobs()
      .flatMap((each) => (each.kind === 'send' ? [each.message] : []));
    expect(kinds).toMatchObject([
      { kind: 'committed' },
      { kind: 'report', report: { highest: { ballot: 0, txid: txidOf(toBob) } } },
    ]);
  });

  test('SPENTBOOK-R3: one certificate in five reports → only its transaction, without sources', () => {
    const elders = seven();
    elders[0]?.answer(commit(toBob, prepareCertificate(toBob)));
    const answers = elders.map((elder) => elder.answer(recover(toCarol, 1)));
    expect(answers[0]).toMatchObject({
      bundle: { transaction: encodeTransaction(toBob), prepared: [prepareCertificate(toBob)] },
    });
    const recovery = { ...free(answers.map(reportOf)), top: prepareCertificate(toBob) };
    const [elder] = elders;
    expect(elder?.answer(prepare(toCarol, 1, recovery))).toMatchObject({ what: 'otherChoice' });
    const forced = { ...prepare(toBob, 1, recovery), sources: [] };
    expect(elder?.answer(forced)).toMatchObject({ kind: 'prepared', ballot: 1 });
    const forged = { ...recovery, top: { ...recovery.top, signature: new Uint8Array(48) } };
    expect(elders[1]?.answer(prepare(toBob, 1, forged))).toMatchObject({
      what: 'forgedCertificate',
    });
  });

  test('SPENTBOOK-R3: a repeated RECOVER → the same report, until a COMMIT at its ballot', () => {
    const elder = scriptedElder(0);
    const others = [1, 2, 3, 4].map((index) => scriptedElder(index));
    const reports = reportsAt([elder, ...others], 1);
    elder.answer(prepare(toBob, 1, free(reports)));
    expect(reportOf(elder.restart().answer(recover(toBob, 1)))).toEqual(reports[0]);
    elder.answer(commit(toBob, prepareCertificate(toBob, 1)));
    expect(elder.answer(recover(toBob, 1))).toMatchObject({ kind: 'promised', ballot: 1 });
    expect(elder.answer(recover(toBob, 2))).toMatchObject({
      report: { ballot: 2, highest: { ballot: 1 } },
    });
  });

  test('SPENTBOOK-R3: only the recovery key may ask for a promise, and not for a far ballot', () => {
    const elder = scriptedElder(0);
    elder.answer(prepare(toBob));
    const stranger = { ...recover(toBob, 1), signature: noSignature };
    expect(elder.receive(stranger).map(({ kind }) => kind)).toEqual(['blame', 'send']);
    const replayed = { ...recover(toBob, 1), ballot: 2 };
    expect(elder.answer(replayed)).toMatchObject({ what: 'badSignature' });
    expect(elder.answer(recover(toBob, 65_537))).toMatchObject({ kind: 'promised', ballot: 0 });
    expect(elder.answer(recover(toBob, 65_536)).kind).toBe('report');
  });

  test('SPENTBOOK-R3: an unknown candidate is verified like a payment before anything is stored', () => {
    const elder = scriptedElder(0);
    const noSource = { ...recover(toBob, 1), sources: [] };
    expect(elder.answer(noSource).kind).toBe('notAllowed');
    const invalid = { ...recover(toBob, 1), sources: [{ kind: 'genesis' }, { kind: 'genesis' }] };
    expect(elder.answer(invalid as typeof noSource).kind).toBe('malformed');
    expect(elder.disk).toHaveLength(0);
    expect(elder.answer(recover(toBob, 1)).kind).toBe('report');
  });

  test('SPENTBOOK-R2: another COMMIT for a ballot of a bundle → verified, no second signed vote', () => {
    const elder = scriptedElder(0);
    elder.answer(prepare(toCarol));
    elder.answer(commit(toBob, prepareCertificate(toBob)));
    const forged = { ...prepareCertificate(toCarol), signature: new Uint8Array(48) };
    expect(elder.answer(commit(toCarol, forged))).toMatchObject({ what: 'forgedCertificate' });
  });

  test('HANDOVER-R6: a bundle of a higher ballot → it is what the snapshot has', () => {
    const elder = scriptedElder(0);
    elder.answer(commit(toBob, prepareCertificate(toBob)));
    elder.answer(commit(toCarol, prepareCertificate(toCarol, 2)));
    expect(elder.answer(commit(toDave, prepareCertificate(toDave, 1))).kind).toBe('promised');
    expect(slotEntry(elder.disk, 0n)).toMatchObject({ kind: 'bound', txid: txidOf(toCarol) });
    expect(slotEntry([], 0n)).toBeNull();
  });

  test('SPENTBOOK-R3: unsigned requests fill their places → the owner still gets an answer', () => {
    const elder = scriptedElder(0);
    const busy = Array.from({ length: 9 }, () => elder.receive(prepare(toBob))).map(
      ([effect]) => effect?.kind,
    );
    expect(busy.filter((kind) => kind === 'compute')).toHaveLength(6);
    expect(elder.receive(recover(toBob, 1))).toMatchObject([{ kind: 'compute' }]);
  });
});

describe('five reports', () => {
  const elders = seven();
  const [first] = toy.elders;
  if (first === undefined) throw new Error('seven elders');
  const signedBy = (at: number, claim: Pick<SignedReport, 'ballot' | 'highest'>): SignedReport => {
    const elder = toy.elders[at];
    if (elder === undefined) throw new Error('seven elders');
    const bytes = reportBytes(toy.section, keyImage, claim);
    const signature = toyIdentity.sign(elder.identitySeed, bytes);
    return { elder: elder.name, ...claim, signature };
  };
  const claims = (
    ...list: readonly (SignedReport['highest'] | undefined)[]
  ): readonly SignedReport[] =>
    [0, 1, 2, 3, 4].map((at) => signedBy(at, { ballot: 2, highest: list[at] ?? null }));
  const problem = (recovery: Recovery, transaction: Transaction = toBob): string | null => {
    const statement = { keyImage, ballot: 2, txid: txidOf(transaction) };
    return problemOfRecovery(configOf(first), statement, recovery);
  };
  const bobAt = (ballot: number) => ({ ballot, txid: txidOf(toBob) });
  const carolAt = (ballot: number) => ({ ballot, txid: txidOf(toCarol) });

  test.each<[string, Recovery, string | null]>([
    ['no claim', { reports: claims(), top: null }, null],
    ['one claim', { reports: claims(bobAt(0)), top: prepareCertificate(toBob) }, null],
    [
      'a lower claim for another',
      { reports: claims(carolAt(0), bobAt(1)), top: prepareCertificate(toBob, 1) },
      null,
    ],
    ['four reports', { reports: claims().slice(0, 4), top: null }, 'reportCount'],
    [
      'six reports',
      { reports: [...claims(), signedBy(5, { ballot: 2, highest: null })], top: null },
      'reportCount',
    ],
    [
      'one elder twice',
      { reports: [...claims().slice(0, 4), ...claims().slice(0, 1)], top: null },
      'repeatedElder',
    ],
    [
      'another ballot',
      { reports: [...claims().slice(0, 4), signedBy(4, { ballot: 1, highest: null })], top: null },
      'otherBallot',
    ],
    [
      'a claim at the ballot itself',
      { reports: claims(bobAt(2)), top: prepareCertificate(toBob, 2) },
      'claimNotBelow',
    ],
    [
      'two claims at the highest ballot',
      { reports: claims(bobAt(1), carolAt(1)), top: prepareCertificate(toBob, 1) },
      'claimsDiffer',
    ],
    ['a claim without its certificate', { reports: claims(bobAt(1)), top: null }, 'wrongTop'],
    [
      'a certificate without a claim',
      { reports: claims(), top: prepareCertificate(toBob) },
      'wrongTop',
    ],
    [
      'the certificate of a lower claim',
      { reports: claims(bobAt(1)), top: prepareCertificate(toBob) },
      'wrongTop',
    ],
    [
      'a certificate of another epoch',
      { reports: claims(bobAt(1)), top: { ...prepareCertificate(toBob, 1), epoch: 1n } },
      'wrongTop',
    ],
    [
      'the highest claim is for another',
      { reports: claims(bobAt(0), carolAt(1)), top: prepareCertificate(toCarol, 1) },
      'otherChoice',
    ],
  ])('SPENTBOOK-R3: %s → %o', (_name, recovery, expected) => {
    expect(problem(recovery)).toBe(expected);
  });

  test('SPENTBOOK-R3: reports of another node, slot, key, epoch or network, or changed → refused', () => {
    const [report, ...rest] = claims();
    if (report === undefined) throw new Error('five reports');
    const stranger = { ...report, elder: seedOf('stranger') };
    expect(problem({ reports: [stranger, ...rest], top: null })).toBe('unknownElder');
    const claim = { ballot: 2, highest: null };
    const otherScopes = [
      reportBytes(toy.section, seedOf('another coin'), claim),
      reportBytes({ ...toy.section, epoch: 1n }, keyImage, claim),
      reportBytes({ ...toy.section, key: new Uint8Array(96) }, keyImage, claim),
      reportBytes({ ...toy.section, networkId: seedOf('network') }, keyImage, claim),
      reportBytes(toy.section, keyImage, { ...claim, ballot: 1 }),
      reportBytes(toy.section, keyImage, { ...claim, highest: bobAt(0) }),
    ];
    expect(new Set(otherScopes.map(toHex)).size).toBe(otherScopes.length);
    for (const bytes of otherScopes) {
      const signature = toyIdentity.sign(first.identitySeed, bytes);
      const reports = [{ ...report, signature }, ...rest];
      expect(problem({ reports, top: null })).toBe('badReport');
    }
    expect(verifyReport(toy.section, toyIdentity, keyImage, report)).toBe(true);
  });

  test('requests, answers and rows round-trip', () => {
    const [elder, ...others] = elders;
    if (elder === undefined) throw new Error('seven elders');
    elder.answer(prepare(toCarol));
    elder.answer(commit(toBob, prepareCertificate(toBob)));
    const answer = elder.answer(recover(toBob, 1));
    const reports = [answer, ...others.map((each) => each.answer(recover(toBob, 1)))].map(reportOf);
    const recovery = { reports: reports.slice(0, 5), top: prepareCertificate(toBob) };
    for (const request of [recover(toBob, 9), prepare(toBob, 1, recovery)]) {
      const read = decodeSpentbookRequest(slot, encodeSpentbookRequest(request));
      expect(read).toEqual({ ok: true, value: request });
    }
    const promised = { kind: 'promised', request: new Uint8Array(16), ballot: 7 } as const;
    for (const each of [answer, promised]) {
      const read = decodeSpentbookAnswer(encodeSpentbookAnswer(each));
      expect(read).toEqual({ ok: true, value: each });
    }
    for (const fact of elder.disk) {
      expect(decodeSpentbookFact(encodeSpentbookFact(fact))).toEqual({ ok: true, value: fact });
    }
    const four = prepare(toBob, 1, { ...recovery, reports: reports.slice(0, 4) });
    expect(decodeSpentbookRequest(slot, encodeSpentbookRequest(four)).ok).toBe(false);
    const zero = { ...recover(toBob, 1), ballot: 0 };
    expect(decodeSpentbookRequest(slot, encodeSpentbookRequest(zero)).ok).toBe(false);
  });
});
