/**
 * Goal: the parts of a key generation are bound to what they must be bound to, verdicts are right in
 * every case, and no bytes get past the codecs that should not.
 * Method: a session of seven run by hand over the toy group; one lie per test; frozen bytes.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nameToId, toXorName } from '#address/xor-name.ts';
import { compareBytes, toHex, utf8 } from '#core/codec/bytes.ts';
import type { Effect, Step } from '#core/machine.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  blsGroup,
  decodeDkgFact,
  decodeDkgMessage,
  dkg,
  encodeDkgFact,
  encodeDkgMessage,
  maxDkgMessageBytes,
  performDkgJob,
  sessionIdOf,
  sortedNames,
  type Dkg,
  type DkgConfig,
  type DkgMessage,
  type DkgState,
  type SignedComplaint,
  type SignedDealing,
  type SignedKey,
} from '#protocol/dkg/index.ts';
import { dealingBytes, dealingHash, keyBytes } from '#protocol/dkg/transcript.ts';
import { decodeGenesisMessage, maxGenesisMessageBytes } from '#roles/genesis/index.ts';
import { toyGroup, toyIdentity } from '../../sim/toy-suite.ts';
import vectors from '../../vectors/dkg.json' with { type: 'json' };

const seeds = Array.from({ length: 7 }, (_, i) => sha256(utf8(`candidate ${i}`))).sort((a, b) =>
  compareBytes(toyIdentity(a), toyIdentity(b)),
);
const candidates = seeds.map((seed) => toXorName(toyIdentity(seed)));
const session = { candidates, networkName: 'unit', nonce: sha256(utf8('nonce')) };
const sessionId = sessionIdOf(session);
const [aliceSeed] = seeds;
if (aliceSeed === undefined) throw new Error('seven candidates');
const alice = idOf(1);
const bob = idOf(2);
const mallory = idOf(3);
const config: DkgConfig = {
  self: alice,
  identitySeed: aliceSeed,
  candidates,
  sessionId,
  gossipEveryMs: 1000,
  group: toyGroup,
};
const context = { now: 0, entropy: sha256(utf8('entropy')) };
const boxSecrets = seeds.map((seed) => sha256(seed));
const keys = boxSecrets.map((secret, at) => signedKey(at + 1, toyGroup.boxPublicKey(secret)));

describe('session id', () => {
  test('order of candidates does not matter; name, nonce and any candidate do', () => {
    expect(sessionIdOf({ ...session, candidates: [...candidates].reverse() })).toEqual(sessionId);
    expect(sortedNames([...candidates].reverse())).toEqual(candidates);
    const other = toXorName(sha256(utf8('other')));
    for (const change of [
      { networkName: 'unit2' },
      { nonce: sha256(utf8('nonce 2')) },
      { candidates: [other, ...candidates.slice(1)] },
    ]) {
      expect(sessionIdOf({ ...session, ...change })).not.toEqual(sessionId);
    }
  });

  test('frozen: session id, and the hash of a dealing', () => {
    expect(toHex(sessionId)).toBe(vectors.sessionId);
    expect(toHex(dealingHash(sessionId, dealingOf(1)))).toBe(vectors.dealingHash);
  });
});

describe('N14: the signature of a dealing covers', () => {
  const dealing = dealingOf(3);
  const other = dealingOf(4);
  const changes: readonly [string, Partial<SignedDealing>][] = [
    ['the dealer', { dealer: 5 }],
    [
      'the keys',
      {
        keys: [signedKey(1, toyGroup.boxPublicKey(sha256(aliceSeed))), ...keys.slice(1)].reverse(),
      },
    ],
    [
      'the signatures of the keys',
      { keys: keys.map((key) => ({ ...key, signature: new Uint8Array(64) })) },
    ],
    ['the commitment', { commitment: other.commitment }],
    [
      'every ciphertext',
      { sealedShares: [...dealing.sealedShares.slice(0, 6), ...other.sealedShares.slice(6)] },
    ],
  ];
  test.each(changes)('%s', (_, change) => {
    expect(dealingBytes(sessionId, { ...dealing, ...change })).not.toEqual(
      dealingBytes(sessionId, dealing),
    );
  });
  test('the session', () => {
    expect(dealingBytes(sha256(sessionId), dealing)).not.toEqual(dealingBytes(sessionId, dealing));
  });
});

describe('jobs', () => {
  test('D4: a receiver gets its share and nobody else does', () => {
    const dealing = dealingOf(3);
    const check = (receiver: number, boxSecret: Uint8Array) =>
      performDkgJob({ kind: 'check', sessionId, receiver, boxSecret, dealing }, toyGroup);
    expect(check(1, secretOf(1))).toMatchObject({ kind: 'checked', dealer: 3 });
    expect(check(1, secretOf(1))).not.toMatchObject({ share: null });
    expect(check(1, secretOf(2))).toMatchObject({ share: null });
    expect(check(2, secretOf(1))).toMatchObject({ share: null });
  });

  test('D4 with the real curves: a share that fits, a swapped one, a commitment that is no key', () => {
    const real = boxSecrets.map(blsGroup.boxPublicKey);
    const dealt = performDkgJob(
      { kind: 'deal', sessionId, dealer: 3, boxKeys: real, seed: sha256(utf8('d')) },
      blsGroup,
    );
    if (dealt.kind !== 'dealt') throw new Error('a deal job deals');
    const dealing = { ...dealingOf(3), ...dealt };
    const check = (changed: Partial<SignedDealing>) =>
      performDkgJob(
        {
          kind: 'check',
          sessionId,
          // Not 1: there f(1) is the plain sum of the coefficients, in any order.
          receiver: 2,
          boxSecret: secretOf(2),
          dealing: { ...dealing, ...changed },
        },
        blsGroup,
      );
    expect(check({})).not.toMatchObject({ share: null });
    expect(check({ commitment: [...dealing.commitment].reverse() })).toMatchObject({ share: null });
    expect(check({ sealedShares: [...dealing.sealedShares].reverse() })).toMatchObject({
      share: null,
    });
    const identity = new Uint8Array(96);
    identity[0] = 0xc0;
    // A leading coefficient of zero would lower the degree: four shares would sign.
    const low = [...dealing.commitment.slice(0, 4), identity];
    expect(check({ commitment: low })).toMatchObject({ share: null });
  });

  test('D6: the verdict on a complaint', () => {
    const honest = dealingOf(3);
    const bad = { ...honest, sealedShares: dealingOf(4).sealedShares };
    const judge = (complaint: Omit<SignedComplaint, 'signature'>) => {
      const signed = { ...complaint, signature: new Uint8Array(64) };
      const verdict = performDkgJob({ kind: 'judge', sessionId, complaint: signed }, toyGroup);
      return verdict.kind === 'judged' ? verdict.guilty : undefined;
    };
    expect(judge({ candidate: 1, dealing: bad, boxSecret: secretOf(1) })).toBe('dealer');
    expect(judge({ candidate: 1, dealing: honest, boxSecret: secretOf(1) })).toBe('complainer');
    // A secret that is not the announced one opens nothing and proves nothing.
    expect(judge({ candidate: 1, dealing: honest, boxSecret: secretOf(2) })).toBe('complainer');
    expect(judge({ candidate: 1, dealing: bad, boxSecret: secretOf(2) })).toBe('complainer');
  });
});

describe('machine', () => {
  test('D1: the key is on disk before it is announced', () => {
    const { effects } = dkg.start(config, [], context);
    expect(effects.map(({ kind }) => kind)).toEqual(['persist', 'send', 'setTimer']);
  });

  test('D8: a restart announces the same key', () => {
    const first = dkg.start(config, [], context);
    const facts = persisted(first);
    const again = dkg.start(config, facts, { now: 1, entropy: sha256(utf8('other entropy')) });
    expect(stateKeys(again.state)).toEqual(stateKeys(first.state));
  });

  test('D3: a second key of one candidate is blamed on it, whoever carries it', () => {
    const start = dkg.start(config, [], context).state;
    const other = signedKey(3, toyGroup.boxPublicKey(sha256(utf8('second'))));
    const one = receive(start, bob, { keys: [must(keys[2])] });
    const two = receive(one.state, bob, { keys: [other] });
    expect(faults(one)).toEqual([]);
    expect(faults(two)).toMatchObject([{ kind: 'keyEquivocation', culprit: mallory }]);
  });

  test('D3: a spoiled signature is blamed on the carrier, not on the author', () => {
    const start = dkg.start(config, [], context).state;
    const spoiled = { ...must(keys[1]), signature: new Uint8Array(64) };
    expect(faults(receive(start, mallory, { keys: [spoiled] }))).toMatchObject([
      { kind: 'invalidSignature', culprit: mallory },
    ]);
  });

  test('D3: a dealing whose list holds a key its owner never signed is blamed on the dealer', () => {
    const start = dkg.start(config, [], context).state;
    const forged = keys.map((key) =>
      key.candidate === 2 ? { ...key, boxKey: toyGroup.boxPublicKey(sha256(utf8('x'))) } : key,
    );
    const dealing = resigned({ ...dealingOf(3), keys: forged });
    expect(faults(receive(start, bob, { dealings: [dealing] }))).toMatchObject([
      { kind: 'invalidKeyList', culprit: mallory },
    ]);
  });

  test('D3: a known key with a spoiled signature in a list is blamed on the dealer', () => {
    const start = receive(ownedStart(), bob, { keys }).state;
    const spoiled = keys.map((key) =>
      key.candidate === 2 ? { ...key, signature: new Uint8Array(64) } : key,
    );
    // Accepted, it would come back from disk after a restart and be carried on by us.
    const dealing = resigned({ ...dealingOf(3), keys: spoiled });
    expect(faults(receive(start, bob, { dealings: [dealing] }))).toMatchObject([
      { kind: 'invalidKeyList', culprit: mallory },
    ]);
  });

  test('D5: keyed and restarted, a candidate still hands its ack to who lacks it', () => {
    const ack = {
      candidate: 1,
      dealings: keys.map(() => sessionId),
      signature: must(keys[0]).signature,
    };
    const result = {
      key: new Uint8Array(96),
      publicShares: keys.map(() => new Uint8Array(96)),
      secretShare: secretOf(1),
      index: 1,
    };
    const facts = [
      { kind: 'announced', boxSecret: secretOf(1), key: must(keys[0]) },
      { kind: 'acked', ack },
      { kind: 'keyed', result },
    ] as const;
    const { state } = dkg.start(config, facts, context);
    const message = {
      kind: 'status' as const,
      sessionId,
      keys: 0b1111111,
      dealings: keys.map(() => null),
      acks: 0b1111110,
    };
    const step = dkg.step(config, state, { kind: 'received', from: bob, message }, context);
    expect(step.effects).toMatchObject([{ kind: 'send', to: [bob], message: { acks: [ack] } }]);
  });

  test('D3: two dealings of one dealer are blamed on it', () => {
    const start = ownedStart();
    const one = receive(start, bob, { dealings: [dealingOf(3)] });
    const two = receive(one.state, bob, { dealings: [dealingOf(3, 'second')] });
    expect(faults(one)).toEqual([]);
    expect(faults(two)).toMatchObject([{ kind: 'dealingEquivocation', culprit: mallory }]);
  });

  test('messages of another session, of strangers and of oneself change nothing', () => {
    const start = dkg.start(config, [], context).state;
    const parts = { kind: 'parts' as const, sessionId, ...none, keys };
    const foreign = { ...parts, sessionId: sha256(utf8('another')) };
    for (const [from, message] of [
      [bob, foreign],
      ['00'.repeat(32), parts],
      [alice, parts],
    ] as const) {
      const step = dkg.step(config, start, { kind: 'received', from, message }, context);
      expect(step).toEqual({ state: start, effects: [] });
    }
  });

  test('D7: who holds another dealing of the same dealer is sent ours, and no one else', () => {
    const start = receive(ownedStart(), bob, { dealings: [dealingOf(3)] }).state;
    const answerTo = (held: Uint8Array) => {
      const dealings = keys.map(({ candidate }) => (candidate === 3 ? held : null));
      const message = { kind: 'status' as const, sessionId, keys: 0b1111111, dealings, acks: 0 };
      return dkg.step(config, start, { kind: 'received', from: bob, message }, context).effects;
    };
    expect(answerTo(dealingHash(sessionId, dealingOf(3)))).toEqual([]);
    expect(answerTo(dealingHash(sessionId, dealingOf(3, 'second')))).toMatchObject([
      { kind: 'send', to: [bob], message: { dealings: [{ dealer: 3 }] } },
    ]);
  });

  test('D7: the answer to a status is exactly what its sender lacks', () => {
    const start = receive(ownedStart(), bob, { keys }).state;
    const status = {
      kind: 'status' as const,
      sessionId,
      keys: 0b1111100,
      dealings: Array.from({ length: 7 }, () => null),
      acks: 0,
    };
    const step = dkg.step(config, start, { kind: 'received', from: bob, message: status }, context);
    expect(step.effects).toMatchObject([{ kind: 'send', to: [bob] }]);
    const [effect] = step.effects;
    if (effect?.kind !== 'send' || effect.message.kind !== 'parts') throw new Error('parts');
    expect(effect.message.keys.map(({ candidate }) => candidate)).toEqual([1, 2]);
    const all = { ...status, keys: 0b1111111 };
    expect(
      dkg.step(config, start, { kind: 'received', from: bob, message: all }, context).effects,
    ).toEqual([]);
  });
});

describe('codec', () => {
  const complaint = {
    candidate: 1,
    dealing: dealingOf(3),
    boxSecret: secretOf(1),
    signature: new Uint8Array(64),
  };
  const full: DkgMessage = {
    kind: 'parts',
    sessionId,
    keys,
    dealings: [1, 2, 3, 4, 5, 6, 7].map((dealer) => dealingOf(dealer)),
    acks: keys.map(({ candidate, signature }) => ({
      candidate,
      dealings: Array.from({ length: 7 }, () => sessionId),
      signature,
    })),
    complaints: Array.from({ length: 7 }, () => complaint),
  };

  test('the largest message there is fits its limit and comes back equal', () => {
    const bytes = encodeDkgMessage(full);
    expect(bytes.length).toBeLessThan(maxDkgMessageBytes);
    expect(decodeDkgMessage(bytes)).toEqual({ ok: true, value: full });
  });

  test('eight parts, index 0 and 8, and short fields are refused', () => {
    const refused = (change: object) =>
      expect(decodeDkgMessage(encodeDkgMessage({ ...full, ...change } as DkgMessage)).ok).toBe(
        false,
      );
    refused({ keys: [...keys, must(keys[0])] });
    refused({ keys: [{ ...must(keys[0]), candidate: 0 }] });
    refused({ keys: [{ ...must(keys[0]), candidate: 8 }] });
    refused({ keys: [{ ...must(keys[0]), boxKey: new Uint8Array(31) }] });
    refused({ dealings: [{ ...dealingOf(1), commitment: dealingOf(1).commitment.slice(1) }] });
    refused({ extra: 1 });
    expect(decodeDkgMessage(new Uint8Array(maxDkgMessageBytes + 1)).ok).toBe(false);
    expect(decodeGenesisMessage(new Uint8Array(maxGenesisMessageBytes + 1)).ok).toBe(false);
  });

  test('no bytes make a decoder throw', () => {
    const bytes = encodeDkgMessage({ ...full, dealings: [], complaints: [] });
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, cut) => {
        const changed = bytes.map((byte, i) => (i === at ? value : byte)).slice(0, cut);
        decodeDkgMessage(changed);
        decodeGenesisMessage(changed);
        decodeDkgFact(changed);
      }),
      { numRuns: 1000 },
    );
  });

  test('a fact comes back as it was stored', () => {
    const fact = { kind: 'accepted', dealing: dealingOf(2), share: secretOf(1) } as const;
    expect(decodeDkgFact(encodeDkgFact(fact))).toEqual({ ok: true, value: fact });
  });
});

const none = { keys: [], dealings: [], acks: [], complaints: [] };

function receive(
  state: DkgState,
  from: string,
  parts: { readonly keys?: readonly SignedKey[]; readonly dealings?: readonly SignedDealing[] },
): Step<DkgState, Dkg> {
  const message = { kind: 'parts' as const, sessionId, ...none, ...parts };
  return dkg.step(config, state, { kind: 'received', from, message }, context);
}

/** Alice with the key these tests list for her. */
function ownedStart(): DkgState {
  const facts = [{ kind: 'announced', boxSecret: secretOf(1), key: must(keys[0]) }] as const;
  return dkg.start(config, facts, context).state;
}

const faults = (step: Step<DkgState, Dkg>) =>
  step.effects.flatMap((effect: Effect<Dkg>) => (effect.kind === 'blame' ? [effect.fault] : []));

const persisted = (step: Step<DkgState, Dkg>) =>
  step.effects.flatMap((effect: Effect<Dkg>) => (effect.kind === 'persist' ? [effect.fact] : []));

const stateKeys = (state: DkgState) => (state.kind === 'gatheringKeys' ? state.keys : undefined);

function idOf(candidate: number): string {
  return nameToId(must(candidates[candidate - 1]));
}

function secretOf(candidate: number): Uint8Array {
  return must(boxSecrets[candidate - 1]);
}

function signedKey(candidate: number, boxKey: Uint8Array): SignedKey {
  const signature = toyGroup.sign(
    must(seeds[candidate - 1]),
    keyBytes(sessionId, { candidate, boxKey }),
  );
  return { candidate, boxKey, signature };
}

function dealingOf(dealer: number, label = 'seed'): SignedDealing {
  const boxKeys = keys.map(({ boxKey }) => boxKey);
  const seed = sha256(utf8(`${label} ${dealer}`));
  const dealt = performDkgJob({ kind: 'deal', sessionId, dealer, boxKeys, seed }, toyGroup);
  if (dealt.kind !== 'dealt') throw new Error('a deal job deals');
  const { commitment, sealedShares } = dealt;
  return resigned({ dealer, keys, commitment, sealedShares });
}

function resigned(dealing: Omit<SignedDealing, 'signature'>): SignedDealing {
  const { dealer, keys: list, commitment, sealedShares } = dealing;
  const unsigned = { dealer, keys: list, commitment, sealedShares };
  const seed = must(seeds[dealer - 1]);
  return { ...unsigned, signature: toyGroup.sign(seed, dealingBytes(sessionId, unsigned)) };
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('missing');
  return value;
}
