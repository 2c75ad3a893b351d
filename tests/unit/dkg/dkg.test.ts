/**
 * Goal: the parts of a key generation are bound to their context, early and late messages are
 * answered and not blamed, and the codecs reject malformed bytes.
 * Method: one candidate driven by hand over the toy suites; one fault per test; frozen bytes.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import type { Effect, Event, Step } from '#core/machine.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  decodeDkgFact,
  decodeDkgMessage,
  decodeReadinessProof,
  dkg,
  encodeDkgFact,
  encodeDkgMessage,
  listHash,
  maxDkgMessageBytes,
  maxWants,
  performDkgJob,
  defaultReadyBytes,
  verifyReadinessProof,
  type Dkg,
  type DkgMessage,
  type DkgState,
  type ReadinessProof,
  type SignedDealing,
  type SignedKey,
} from '#protocol/dkg/index.ts';
import {
  dealingBytes,
  dealingHash,
  keyBytes,
  proposedListBytes,
} from '#protocol/dkg/transcript.ts';
import { decodeGenesisMessage } from '#roles/genesis/index.ts';
import { dkgCastOf, valueOf, toyDkgSuites } from '../../sim/dkg/dkg-world.ts';
import vectors from '../../vectors/dkg.json' with { type: 'json' };

const cast = dkgCastOf();
const config = cast.config(1);
const { sessionId } = config;
const [alice, bob, carol] = cast.ids as [string, string, string];
const context = { now: 0, entropy: sha256(utf8('entropy')) };
const nothing = { tick: 0, keys: 127, lists: 127, readiness: [] };
const keys = cast.ids.map((_, at) => keyOf(at + 1));

describe('N14: the signature of a dealing covers', () => {
  const dealing = dealingOf(3);
  const signed = dealingBytes(config, dealing);
  const changes: readonly (readonly [string, Partial<SignedDealing>])[] = [
    ['the dealer', { dealer: 4 }],
    [
      'the ciphertexts and commitments',
      { body: dealing.body.map((b, i) => (i === 50 ? b ^ 1 : b)) },
    ],
    ['a key', { keys: [keyOf(1, 'other'), ...dealing.keys.slice(1)] }],
    ['a missing key', { keys: [null, ...dealing.keys.slice(1)] }],
    [
      "a key's signature",
      { keys: [{ ...valueOf(keys[0]), signature: new Uint8Array(64) }, ...dealing.keys.slice(1)] },
    ],
  ];
  test.each(changes)('%s', (_, change) => {
    expect(dealingBytes(config, { ...dealing, ...change })).not.toEqual(signed);
    expect(dealingHash(config, { ...dealing, ...change })).not.toEqual(
      dealingHash(config, dealing),
    );
  });

  test('network and session', () => {
    const other = sha256(sessionId);
    expect(dealingBytes({ ...config, sessionId: other }, dealing)).not.toEqual(signed);
    expect(dealingBytes({ ...config, networkId: other }, dealing)).not.toEqual(signed);
  });

  test('frozen: hashes of a dealing and of a list', () => {
    expect(toHex(dealingHash(config, dealingOf(1)))).toBe(vectors.dealingHash);
    const list = [1, 2, 3, 4, 5].map((dealer) => dealingHash(config, dealingOf(dealer)));
    expect(toHex(listHash(config, [...list, null, null]))).toBe(vectors.listHash);
  });
});

describe('December 2021: messages out of phase', () => {
  test('a dealing received before any key is verified, and its keys are kept', () => {
    const { state } = dkg.start(config, [], context);
    const checked = settleJobs(receive(state, bob, { kind: 'dealing', dealing: dealingOf(2) }));
    expect([...checked.state.dealings.values()].map(({ dealing }) => dealing.dealer)).toContain(2);
    expect(checked.state.keys.size).toBe(7);
    expect(faults(checked)).toEqual([]);
  });

  test('readiness for an unknown list is no fault, and is requested again', () => {
    const { state } = dkg.start(config, [], context);
    const readiness = {
      candidate: 2,
      list: sha256(utf8('a list')),
      share: new Uint8Array(48),
      voucher: new Uint8Array(64),
      signature: new Uint8Array(64),
    };
    const step = receive(state, bob, {
      kind: 'parts',
      keys: [],
      lists: [],
      readiness: [readiness],
    });
    expect(faults(step)).toEqual([]);
    expect(step.state.lists.size).toBe(0);
  });

  test('messages of unknown sessions, of non-candidates and of oneself change nothing', () => {
    const { state } = dkg.start(config, [], context);
    const message = {
      kind: 'parts',
      sessionId,
      inventory: nothing,
      keys,
      lists: [],
      readiness: [],
    } as const;
    const take = (from: string, id: Uint8Array): DkgState =>
      dkg.step(
        config,
        state,
        { kind: 'received', from, message: { ...message, sessionId: id } },
        context,
      ).state;
    expect(take(bob, sha256(sessionId))).toBe(state);
    expect(take('00'.repeat(32), sessionId)).toBe(state);
    expect(take(alice, sessionId)).toBe(state);
    expect(take(bob, sessionId)).not.toBe(state);
  });

  test('a peer that requests everything gets each part once per tick, and one dealing per message', () => {
    let state = settleJobs(dkg.start(config, [], context)).state;
    for (const [at, from] of [
      [2, bob],
      [3, carol],
    ] as const) {
      state = settleJobs(receive(state, from, { kind: 'dealing', dealing: dealingOf(at) })).state;
    }
    const wants = [1, 2, 3, 4, 5, 6, 7].map((dealer) => ({ dealer, hash: null }));
    const ask = { kind: 'status', wants } as const;
    const first = receive(state, carol, ask, { tick: 1, keys: 0, lists: 0, readiness: [] });
    const kinds = sent(first).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'dealing').length).toBe(first.state.dealings.size);
    expect(kinds.filter((kind) => kind === 'parts').length).toBe(1);
    const again = receive(first.state, carol, ask, { tick: 1, keys: 0, lists: 0, readiness: [] });
    expect(sent(again)).toEqual([]);
    const later = receive(first.state, carol, ask, {
      tick: 2,
      keys: 127,
      lists: 127,
      readiness: [],
    });
    expect(sent(later).every(({ kind }) => kind === 'dealing')).toBe(true);
    expect(sent(later).length).toBe(first.state.dealings.size);
  });
});

describe('blame', () => {
  test('DKG-D3: a carrier of forged parts is blamed once per message, the author never', () => {
    const { state } = dkg.start(config, [], context);
    const forged = keys.slice(1).map((key) => ({ ...key, signature: new Uint8Array(64) }));
    const step = receive(state, bob, { kind: 'parts', keys: forged, lists: [], readiness: [] });
    expect(faults(step)).toEqual([{ kind: 'invalidSignature', culprit: bob, part: 'key' }]);
    expect(step.state.keys.size).toBe(1);
  });

  test('TRACE-C4: two session keys of one candidate are evidence; the first one counts', () => {
    const { state } = dkg.start(config, [], context);
    const second = keyOf(3, 'second');
    const parts = {
      kind: 'parts',
      keys: [valueOf(keys[2]), second],
      lists: [],
      readiness: [],
    } as const;
    const step = receive(state, bob, parts);
    expect(faults(step)).toEqual([
      { kind: 'keyEquivocation', culprit: carol, keys: [keys[2], second] },
    ]);
    expect(step.state.keys.get(3)).toEqual(keys[2]);
  });

  test('N16: a signed key that encodes no point is blamed on its owner', () => {
    const { state } = dkg.start(config, [], context);
    const unsigned = { candidate: 3, sharingKey: new Uint8Array(32) };
    const key = { ...unsigned, signature: sign(3, keyBytes(config, unsigned)) };
    const step = receive(state, bob, { kind: 'parts', keys: [key], lists: [], readiness: [] });
    expect(faults(step)).toEqual([{ kind: 'invalidKey', culprit: carol, key }]);
  });

  test('N13: a signed list of four is a fault, a list of five is not', () => {
    const { state } = dkg.start(config, [], context);
    const named = (count: number) => {
      const dealings = cast.ids.map((_, at) => (at < count ? sha256(Uint8Array.of(at)) : null));
      const unsigned = { candidate: 2, dealings };
      const list = { ...unsigned, signature: sign(2, proposedListBytes(config, unsigned)) };
      return receive(state, bob, { kind: 'parts', keys: [], lists: [list], readiness: [] });
    };
    expect(faults(named(4)).map(({ kind }) => kind)).toEqual(['invalidList']);
    expect(faults(named(5))).toEqual([]);
  });
});

test('N13: an invented key has no five vouchers, even if it signs correctly', () => {
  const { dealings, threshold, identity } = toyDkgSuites;
  const fallback = config.fallbackKeys;
  const invented = [dealings.deal(sessionId, fallback, sha256(utf8('mine alone')))];
  const { key, publicShares } = valueOf(dealings.sumDealings(invented));
  const list = cast.ids.map((_, at) => (at < 5 ? sha256(Uint8Array.of(at)) : null));
  const ready = defaultReadyBytes(config, listHash(config, list), { key, publicShares });
  const signature = threshold.sign(key.slice(-32), 'READY', ready);
  expect(threshold.verify(key, 'READY', ready, signature)).toBe(true);
  const vouchers = [1, 2, 3, 4, 5].map((candidate) => ({
    candidate,
    signature: identity.sign(cast.config(3).identitySeed, ready),
  }));
  const proof: ReadinessProof = { list, key, publicShares, signature, vouchers };
  const bytes = config.readyBytes;
  expect(verifyReadinessProof(toyDkgSuites, config, config.candidates, bytes, proof)).toBe(false);
});

test('DKG-D12: a candidate with a list to finish requests its dealings, and ends with the share', () => {
  const begun = dkg.start(config, [], context);
  const list = cast.ids.map((_, at) =>
    at > 0 && at < 6 ? dealingHash(config, dealingOf(at + 1)) : null,
  );
  const finish = { kind: 'input', input: { kind: 'finish', list } } as const;
  let step = dkg.step(config, begun.state, finish, context);
  const asked = sent(step).flatMap((each) => (each.kind === 'status' ? each.wants : []));
  expect(asked.filter(({ hash }) => hash !== null).length).toBe(5);
  const outputs: Dkg['output'][] = [];
  for (const dealer of [2, 3, 4, 5, 6]) {
    const from = valueOf(cast.ids[dealer - 1]);
    step = settleJobs(receive(step.state, from, { kind: 'dealing', dealing: dealingOf(dealer) }));
    for (const effect of step.effects) if (effect.kind === 'output') outputs.push(effect.output);
  }
  const [output] = outputs;
  expect(output?.kind).toBe('share');
});

test('DKG-D12: a late candidate does not decrypt with a session key whose secret it lost', () => {
  const late = { ...config, late: true };
  const list = cast.ids.map((_, at) =>
    at > 0 && at < 6 ? dealingHash(config, dealingOf(at + 1)) : null,
  );
  let { state } = dkg.start(late, [], context);
  const heed = (event: Event<Dkg>): Step<DkgState, Dkg> => {
    const step = dkg.step(late, state, event, context);
    ({ state } = step);
    return step;
  };
  heed({ kind: 'input', input: { kind: 'finish', list } });
  // The others still hold the key, with this candidate's own signature.
  const parts = { kind: 'parts', sessionId, inventory: nothing, lists: [], readiness: [] } as const;
  const theirs = dealingOf(2).keys.flatMap((key) => key ?? []);
  heed({ kind: 'received', from: bob, message: { ...parts, keys: theirs } });
  const effects: Effect<Dkg>[] = [];
  for (const dealer of [2, 3, 4, 5, 6]) {
    const from = valueOf(cast.ids[dealer - 1]);
    const message = {
      kind: 'dealing',
      sessionId,
      inventory: nothing,
      dealing: dealingOf(dealer),
    } as const;
    const { effects: begun } = heed({ kind: 'received', from, message });
    for (const effect of begun) {
      if (effect.kind !== 'compute') continue;
      const result = performDkgJob(effect.job, toyDkgSuites);
      effects.push(...heed({ kind: 'computed', id: effect.id, result }).effects);
    }
  }
  expect(state.dealings.size).toBe(5);
  const jobs = effects.flatMap((effect) => (effect.kind === 'compute' ? [effect.job.kind] : []));
  expect(jobs).toEqual([]);
  expect(effects.filter(({ kind }) => kind === 'blame')).toEqual([]);
});

test('N18: the result of a deal job contains neither the seed nor the polynomial in plain', () => {
  const seed = sha256(utf8('a secret seed'));
  const dealt = dealWith(1, seed);
  expect(Object.keys(dealt)).toEqual(['dealer', 'keys', 'body', 'signature']);
  expect(toHex(dealt.body)).not.toContain(toHex(seed));
});

describe('codec', () => {
  const dealing: DkgMessage = {
    kind: 'dealing',
    sessionId,
    inventory: nothing,
    dealing: dealingOf(2),
  };
  const status: DkgMessage = { kind: 'status', sessionId, inventory: nothing, wants: [] };

  test('the largest messages fit, one more part does not', () => {
    const body = new Uint8Array(46_818);
    const big: DkgMessage = { ...dealing, dealing: { ...dealingOf(2), body } };
    expect(encodeDkgMessage(big).length).toBeLessThan(maxDkgMessageBytes);
    expect(decodeDkgMessage(encodeDkgMessage(big)).ok).toBe(true);
    const bigger: DkgMessage = {
      ...big,
      dealing: { ...dealingOf(2), body: new Uint8Array(46_819) },
    };
    expect(decodeDkgMessage(encodeDkgMessage(bigger)).ok).toBe(false);
    const wants = Array.from({ length: maxWants + 1 }, () => ({ dealer: 1, hash: null }));
    expect(decodeDkgMessage(encodeDkgMessage({ ...status, wants })).ok).toBe(false);
    expect(decodeDkgMessage(new Uint8Array(maxDkgMessageBytes + 1)).ok).toBe(false);
  });

  test('any changed byte is rejected or decodes to a well-formed message; nothing throws', () => {
    const bytes = encodeDkgMessage(dealing);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, cut) => {
        const changed = bytes.map((byte, i) => (i === at ? value : byte)).slice(0, cut);
        decodeDkgMessage(changed);
        decodeGenesisMessage(changed);
        decodeDkgFact(changed);
        decodeReadinessProof(changed);
      }),
      { numRuns: 500 },
    );
  });

  test('a fact decodes as it was stored', () => {
    const fact = { kind: 'accepted', dealing: dealingOf(2) } as const;
    expect(decodeDkgFact(encodeDkgFact(fact))).toEqual({ ok: true, value: fact });
  });
});

type MessageContent = DkgMessage extends infer M
  ? M extends DkgMessage
    ? Omit<M, 'sessionId' | 'inventory'>
    : never
  : never;

function receive(
  state: DkgState,
  from: string,
  content: MessageContent,
  inventory: DkgMessage['inventory'] = nothing,
): Step<DkgState, Dkg> {
  const message = { ...content, sessionId, inventory } as DkgMessage;
  return dkg.step(config, state, { kind: 'received', from, message }, context);
}

/** Runs the jobs a step started, and those that follow. */
function settleJobs(step: Step<DkgState, Dkg>): Step<DkgState, Dkg> {
  let { state } = step;
  const effects: Effect<Dkg>[] = [...step.effects];
  for (let at = 0; at < effects.length; at++) {
    const effect = valueOf(effects[at]);
    if (effect.kind !== 'compute') continue;
    const event: Event<Dkg> = {
      kind: 'computed',
      id: effect.id,
      result: performDkgJob(effect.job, toyDkgSuites),
    };
    const next = dkg.step(config, state, event, context);
    state = next.state;
    effects.push(...next.effects);
  }
  return { state, effects };
}

const faults = (step: Step<DkgState, Dkg>) =>
  step.effects.flatMap((effect) => (effect.kind === 'blame' ? [effect.fault] : []));

const sent = (step: Step<DkgState, Dkg>) =>
  step.effects.flatMap((effect) => (effect.kind === 'send' ? [effect.message] : []));

function sign(candidate: number, bytes: Uint8Array): Uint8Array {
  return toyDkgSuites.identity.sign(cast.config(candidate).identitySeed, bytes);
}

function keyOf(candidate: number, what = 'session'): SignedKey {
  const { toSharingSecret, sharingKey } = toyDkgSuites.dealings;
  const unsigned = {
    candidate,
    sharingKey: sharingKey(toSharingSecret(utf8(`${what} ${candidate}`))),
  };
  return { ...unsigned, signature: sign(candidate, keyBytes(config, unsigned)) };
}

function dealingOf(dealer: number): SignedDealing {
  return dealWith(dealer, sha256(utf8(`seed ${dealer}`)));
}

function dealWith(dealer: number, seed: Uint8Array): SignedDealing {
  const { fallbackKeys, identitySeed } = cast.config(dealer);
  const own = dkg.start(config, [], context).state.keys.get(1);
  const list = keys.map((key, at) => (at === 0 ? valueOf(own) : key));
  const job = {
    kind: 'deal',
    binding: config,
    dealer,
    list,
    fallbackKeys,
    identitySeed,
    seed,
  } as const;
  const dealt = performDkgJob(job, toyDkgSuites);
  if (dealt.kind !== 'dealt') throw new Error('a deal job deals');
  return dealt.dealing;
}
