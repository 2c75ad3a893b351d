/**
 * Goal: what nodes do to one another in four short stories can be read, and a change of it shows as
 * a difference of a text file. Method: the simulator without faults, every message takes 10 ms;
 * the text is compared with the file of its name. `RENEW_TRANSCRIPTS=1` writes the files anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { utf8 } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { agreement, type AgreementMessage } from '#protocol/agreement/index.ts';
import { dkg, type Dkg, type DkgMessage } from '#protocol/dkg/index.ts';
import { decodeMintFact, decodeMintRequest } from '#protocol/mint/index.ts';
import { decodeSpentbookFact, decodeSpentbookRequest } from '#protocol/spentbook/index.ts';
import { decodePaymentAnswer, decodePaymentFact } from '#safe/payment/index.ts';
import { onlyPaymentSection } from '../../support/payment-section.ts';
import {
  agreementLog,
  decodeOnce,
  logConfig,
  proposalsText,
  toyElders,
  validateToy,
  type AgreementLog,
} from '../agreement/agreement-log.ts';
import { dkgCastOf, playDkg } from '../dkg/dkg-world.ts';
import { toyPaymentSetup } from '../payment/payment-check.ts';
import {
  createCompute,
  createNet,
  honestParts,
  type Net,
  type NetConfig,
  type NetMessage,
} from '../payment/payment-net.ts';
import { faultlessNetwork } from '../section/section-world.ts';
import { run, type Faults } from '../world.ts';
import { createTranscript, type Words } from './transcript.ts';

const faultless: Faults = { ...faultlessNetwork, latencyMs: [10, 10], computeMs: [0, 0] };

function expectTranscript(name: string, text: string): void {
  const file = join(import.meta.dirname, `${name}.txt`);
  if (process.env['RENEW_TRANSCRIPTS'] === '1') writeFileSync(file, text);
  expect(text, `renew with RENEW_TRANSCRIPTS=1 and read the difference`).toBe(
    readFileSync(file, 'utf8'),
  );
}

test('seven candidates generate a key', () => {
  const cast = dkgCastOf();
  const words: Words<Dkg> = {
    message: showDkgMessage,
    fact: (fact) => {
      if (fact.kind === 'accepted') return `accepted dealing of ${fact.dealing.dealer}`;
      return fact.kind === 'listProposed' ? 'proposed list' : fact.kind;
    },
    job: ({ kind }) => `job ${kind}`,
    output: ({ kind }) => kind,
    input: ({ kind }) => kind,
  };
  const candidates = { word: 'candidate', ids: cast.ids };
  const transcript = createTranscript(dkg, words, candidates, ({ self }) => self);
  playDkg(1, { cast, machine: transcript.machine, faults: faultless, healAtMs: 0 });
  expectTranscript('key-generation', untilMs(transcript.text(), 6_000));
});

function showDkgMessage(message: DkgMessage): string {
  switch (message.kind) {
    case 'status':
      return message.wants.length === 0 ? 'status' : `status (wants ${message.wants.length})`;
    case 'parts': {
      const { keys, lists, readiness } = message;
      const parts = Object.entries({ keys, lists, readiness });
      const sent = parts.filter(([, each]) => each.length > 0).map(([name]) => name);
      return sent.join(' and ') || 'inventory';
    }
    default:
      return message.kind;
  }
}

test('seven elders decide: prevote, precommit, decision', () => {
  const elders = toyElders(7);
  const configs = new Map(
    elders.map((elder) => [
      elder.id,
      logConfig(elders, elder, { generations: 1, offers: () => [] }),
    ]),
  );
  const words: Words<AgreementLog> = {
    message: (message) => showStatement('bytes' in message ? decodeOnce(message.bytes) : undefined),
    fact: (fact) => (fact.kind === 'agreement' ? 'signed statement' : fact.kind),
    job: ({ proposal }) => `check of ${proposalsText([proposal])}`,
    output: ({ decision }) => `decided ${proposalsText(decision.proposals)}`,
    input: (input) =>
      input.kind === 'propose' ? `propose ${proposalsText([input.proposal])}` : input.kind,
  };
  const section = { word: 'elder', ids: elders.map(({ id }) => id) };
  const idOf = ({ self }: { readonly self: Uint8Array }): NodeId => nameToId(toXorName(self));
  const transcript = createTranscript(agreementLog(agreement), words, section, idOf);
  // Each elder learns of the newcomer by itself.
  const proposal = utf8('ok:admit the newcomer');
  const inputs = elders.map(({ id }) => ({
    ...{ atMs: 0, to: id },
    input: { kind: 'propose', proposal } as const,
  }));
  run(
    {
      ...{ machine: transcript.machine, configs, inputs, compute: validateToy },
      ...{ faults: faultless, healAtMs: 0, endAtMs: 2_000 },
    },
    1,
    () => undefined,
  );
  expectTranscript('decision', transcript.text());
});

function showStatement(message: AgreementMessage | undefined): string {
  if (message === undefined) return 'behind';
  switch (message.kind) {
    case 'prevote':
      return `prevote (round ${message.prevote.round})`;
    case 'precommit':
      return `precommit (round ${message.precommit.certificate.round})`;
    default:
      return message.kind;
  }
}

test('a payment is prepared, committed and registered', () => {
  expectTranscript('payment', playPayments([{ id: 'alice-pays', atMs: 0 }]));
});

test('of two payments for one coin the later one is refused', () => {
  const text = playPayments([
    { id: 'alice-phone', atMs: 0 },
    { id: 'alice-laptop', atMs: 200 },
  ]);
  expectTranscript('two-payments-for-one-coin', text);
});

function playPayments(clients: readonly { readonly id: string; readonly atMs: number }[]): string {
  const { test: money, suite, identity, cast } = toyPaymentSetup();
  const { section, known, elders } = money;
  const part = { section, known, inherited: new Map<string, never>(), sealed: false, identity };
  const configs = new Map<string, NetConfig>();
  for (const { id, name, secretShare, identitySeed } of elders) {
    const own = { name, secretShare, identitySeed };
    const spentbook = { ...part, ...own, elders: elders.map((elder) => elder.name) };
    configs.set(id, { kind: 'elder', spentbook, mint: { ...part, identitySeed } });
  }
  const sections = onlyPaymentSection(section, elders);
  for (const { id } of clients) {
    const actor = cast.actors.find((each) => each.id === id);
    if (actor === undefined) throw new Error(`no ${id}`);
    const payment = { sections, identity, bundle: actor.bundle, repeatEveryMs: 400 };
    configs.set(id, { kind: 'client', payment });
  }
  const selves = new Map([...configs].map(([id, config]) => [config, id]));
  const all = { word: 'elder', ids: elders.map(({ id }) => id) };
  const transcript = createTranscript(
    createNet(honestParts),
    paymentWords,
    all,
    (config) => selves.get(config) ?? '',
  );
  const inputs = clients.map(({ id, atMs }) => ({ atMs, to: id, input: { kind: 'go' } as const }));
  run(
    {
      ...{
        machine: transcript.machine,
        configs,
        inputs,
        compute: createCompute(honestParts, suite),
      },
      ...{ faults: faultless, healAtMs: 0, endAtMs: 1_000 },
    },
    1,
    () => undefined,
  );
  return transcript.text();
}

const paymentWords: Words<Net> = {
  message: showMoneyMessage,
  fact: (fact) => {
    switch (fact.kind) {
      case 'spentbook':
        return `${valueOf(decodeSpentbookFact(fact.bytes)).kind} (slot)`;
      case 'mint':
        return `${valueOf(decodeMintFact(fact.bytes)).kind} (output)`;
      case 'payment':
        return valueOf(decodePaymentFact(fact.bytes)).kind;
      case 'started':
        return 'intent to pay';
    }
  },
  job: ({ kind, job }) => `${kind} job${'kind' in job ? ` ${job.kind}` : ''}`,
  output: (output) => {
    if (output.kind !== 'payment') return '';
    const { output: progress } = output;
    return 'kind' in progress ? progress.kind : 'progress';
  },
  input: ({ kind }) => kind,
};

function showMoneyMessage(message: NetMessage): string {
  switch (message.kind) {
    case 'slot':
      return valueOf(decodeSpentbookRequest(message.slot, message.message)).kind;
    case 'output':
      return valueOf(decodeMintRequest(message.key, message.message)).kind;
    case 'money': {
      const answer = valueOf(decodePaymentAnswer(message.asked, message.message));
      return 'answer' in answer ? answer.answer.kind : answer.kind;
    }
  }
}

const valueOf = <T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false },
): T => {
  if (!result.ok) throw new Error('bytes that their own codec refuses');
  return result.value;
};

/** The lines before this time. */
const untilMs = (text: string, endMs: number): string =>
  text
    .split('\n')
    .filter((line) => line !== '' && Number.parseInt(line, 10) < endMs)
    .map((line) => `${line}\n`)
    .join('');
