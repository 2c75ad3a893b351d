/** Lies of a candidate: one for each check. */
import { utf8 } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  dkg,
  performDkgJob,
  type Dkg,
  type DkgJob,
  type DkgMessage,
  type DkgResult,
  type SignedReadiness,
  type SignedDealing,
  type SignedKey,
  type ProposedList,
} from '#protocol/dkg/index.ts';
import { sharingKeysOf } from '#protocol/dkg/jobs.ts';
import {
  dealingBinding,
  dealingBytes,
  keyBytes,
  readinessBytes,
  proposedListBytes,
} from '#protocol/dkg/transcript.ts';
import { dkgCastOf, valueOf, type DkgCast } from './dkg-world.ts';
import { spoilCiphertext, spoilCommitments } from '../toys/toy-dealing.ts';
import type { Corrupt } from '../world.ts';

export interface DkgLie {
  readonly name: string;
  /** One of these faults is reported if the liar's messages arrive; empty for an unprovable lie. */
  readonly faults: readonly string[];
  readonly corrupt: (cast: DkgCast, liar: number) => Corrupt<Dkg>;
  /** False results of its own jobs. */
  readonly dealt?: (cast: DkgCast, liar: number, dealing: SignedDealing) => SignedDealing;
}

type Parts = DkgMessage & { readonly kind: 'parts' };

const truth: Corrupt<Dkg> = (message) => [message];

const inParts =
  (edit: (message: Parts, to: NodeId) => Parts): Corrupt<Dkg> =>
  (message, to) => [message.kind === 'parts' ? edit(message, to) : message];

const sign = (cast: DkgCast, liar: number, bytes: Uint8Array): Uint8Array =>
  cast.config(liar).suites.identity.sign(cast.config(liar).identitySeed, bytes);

const isEven = (cast: DkgCast, to: NodeId): boolean => cast.ids.indexOf(to) % 2 === 0;

export const dkgLies: readonly DkgLie[] = [
  { name: 'silence', faults: [], corrupt: () => () => [] },
  {
    name: 'a bad ciphertext for one receiver (N14–N16)',
    faults: ['invalidDealing'],
    corrupt: () => truth,
    dealt: (cast, liar, dealing) =>
      spoiled(cast, liar, dealing, (bound, body) => spoilCiphertext(bound, body, (liar % 7) + 1)),
  },
  {
    name: 'commitments to another polynomial (N16)',
    faults: ['invalidDealing'],
    corrupt: () => truth,
    dealt: (cast, liar, dealing) => spoiled(cast, liar, dealing, spoilCommitments),
  },
  {
    name: 'a body that is no dealing',
    faults: ['invalidDealing'],
    corrupt: () => truth,
    dealt: (cast, liar, dealing) =>
      spoiled(cast, liar, dealing, () => utf8('forty-seven kilobytes')),
  },
  {
    name: 'a key in a dealing that its owner never signed (N12)',
    faults: ['invalidDealing'],
    corrupt: () => truth,
    dealt: (cast, liar, dealing) => {
      const candidate = (liar % 7) + 1;
      const forged = { ...signedKeyFor(cast, liar, 'forged'), candidate };
      const keys = dealing.keys.map((key, at) => (at + 1 === candidate ? forged : key));
      return resign(cast, liar, { ...dealing, keys });
    },
  },
  {
    name: 'two session keys (TRACE-C4)',
    faults: ['keyEquivocation'],
    corrupt: (cast, liar) =>
      inParts((message, to) => ({
        ...message,
        keys: message.keys.map((key) =>
          key.candidate === liar && isEven(cast, to) ? signedKeyFor(cast, liar, 'second') : key,
        ),
      })),
  },
  {
    name: 'two dealings (N13)',
    faults: ['dealingEquivocation'],
    corrupt: (cast, liar) => (message, to) => {
      if (message.kind !== 'dealing' || message.dealing.dealer !== liar) return [message];
      if (!isEven(cast, to)) return [message];
      return [{ ...message, dealing: secondDealing(cast, liar, message.dealing) }];
    },
  },
  {
    name: 'readiness with a share of nothing (N13)',
    faults: ['invalidReadiness'],
    corrupt: (cast, liar) =>
      ownReadiness(cast, liar, (each) => ({ ...each, share: new Uint8Array(48).fill(1) })),
  },
  {
    name: 'readiness that vouches for nothing (N13)',
    faults: ['invalidReadiness'],
    corrupt: (cast, liar) =>
      ownReadiness(cast, liar, (each) => ({ ...each, voucher: new Uint8Array(64) })),
  },
  {
    name: 'a list in the name of another (N13)',
    faults: ['invalidSignature'],
    corrupt: (cast, liar) =>
      inParts((message) => ({
        ...message,
        lists: [{ ...ghostList(cast, liar, 'x'), candidate: (liar % 7) + 1 }],
      })),
  },
  {
    name: 'a list of dealings that no candidate made (N13)',
    faults: [],
    corrupt: (cast, liar) =>
      inParts((message) => ({ ...message, lists: [ghostList(cast, liar, 'ghost')] })),
  },
  {
    name: 'two lists (N13)',
    faults: ['listEquivocation'],
    corrupt: (cast, liar) =>
      inParts((message, to) => ({
        ...message,
        lists: [ghostList(cast, liar, isEven(cast, to) ? 'one' : 'two')],
      })),
  },
  {
    name: 'a list of four (N13)',
    faults: ['invalidList'],
    corrupt: (cast, liar) =>
      inParts((message) => ({ ...message, lists: [ghostList(cast, liar, 'short', 4)] })),
  },
  {
    name: 'messages of another session under this one (N14)',
    faults: ['invalidSignature'],
    corrupt: (cast, liar) => (message) => [message, ...replays(cast, liar)],
  },
  {
    name: "others' dealings carried with a spoiled signature",
    faults: ['invalidSignature'],
    corrupt: () => (message, to, prng) => {
      if (message.kind !== 'dealing' || prng.chance(0.5)) return [message];
      const { dealing } = message;
      const keys = dealing.keys.map((key) =>
        key === null ? null : { ...key, signature: new Uint8Array(64) },
      );
      void to;
      return [
        { ...message, dealing: prng.chance(0.5) ? { ...dealing, keys } : spoilBytes(dealing) },
      ];
    },
  },
  {
    name: 'claims to hold nothing, and wants everything always',
    faults: [],
    corrupt: () => (message) => [
      {
        kind: 'status',
        sessionId: message.sessionId,
        inventory: { ...message.inventory, keys: 0, lists: 0, readiness: [] },
        wants: [1, 2, 3, 4, 5, 6, 7].map((dealer) => ({ dealer, hash: null })),
      },
      message,
    ],
  },
];

/** `compute` of a run with these liars, by index. */
export const lyingCompute =
  (cast: DkgCast, liars: ReadonlyMap<number, DkgLie>) =>
  (job: DkgJob): DkgResult => {
    const result = performDkgJob(job, cast.config(1).suites);
    if (result.kind !== 'dealt') return result;
    const { dealer } = result.dealing;
    const dealing = liars.get(dealer)?.dealt?.(cast, dealer, result.dealing);
    return dealing === undefined ? result : { kind: 'dealt', dealing };
  };

const resign = (cast: DkgCast, liar: number, dealing: SignedDealing): SignedDealing => ({
  ...dealing,
  signature: sign(cast, liar, dealingBytes(cast.config(liar), dealing)),
});

function spoiled(
  cast: DkgCast,
  liar: number,
  dealing: SignedDealing,
  spoil: (bound: Uint8Array, body: Uint8Array) => Uint8Array,
): SignedDealing {
  const config = cast.config(liar);
  const keys = sharingKeysOf(dealing.keys, config.fallbackKeys);
  const bound = dealingBinding(config, liar, dealing.keys, keys);
  return resign(cast, liar, { ...dealing, body: spoil(bound, dealing.body) });
}

const spoilBytes = (dealing: SignedDealing): SignedDealing => ({
  ...dealing,
  body: dealing.body.map((byte, at) => (at === 9 ? byte ^ 1 : byte)),
});

function signedKeyFor(cast: DkgCast, liar: number, what: string): SignedKey {
  const config = cast.config(liar);
  const { dealings } = config.suites;
  const sharingKey = dealings.sharingKey(dealings.toSharingSecret(sha256(utf8(what))));
  const unsigned = { candidate: liar, sharingKey };
  return { ...unsigned, signature: sign(cast, liar, keyBytes(config, unsigned)) };
}

/** Another polynomial for the same keys: as valid as the first. */
function secondDealing(cast: DkgCast, liar: number, first: SignedDealing): SignedDealing {
  const { suites, fallbackKeys, identitySeed } = cast.config(liar);
  const dealt = performDkgJob(
    {
      kind: 'deal',
      binding: cast.config(liar),
      dealer: liar,
      list: first.keys,
      fallbackKeys,
      identitySeed,
      seed: sha256(utf8('another face')),
    },
    suites,
  );
  if (dealt.kind !== 'dealt') throw new Error('a deal job deals');
  return dealt.dealing;
}

function ghostList(cast: DkgCast, liar: number, what: string, count = 5): ProposedList {
  const dealings = Array.from({ length: 7 }, (_, at) =>
    at < count ? sha256(utf8(`${what} ${at}`)) : null,
  );
  const unsigned = { candidate: liar, dealings };
  return {
    ...unsigned,
    signature: sign(cast, liar, proposedListBytes(cast.config(liar), unsigned)),
  };
}

const ownReadiness = (
  cast: DkgCast,
  liar: number,
  edit: (each: SignedReadiness) => SignedReadiness,
): Corrupt<Dkg> =>
  inParts((message) => ({
    ...message,
    readiness: message.readiness.map((each) => {
      if (each.candidate !== liar) return each;
      const unsigned = edit(each);
      const signature = sign(cast, liar, readinessBytes(cast.config(liar), unsigned));
      return { ...unsigned, signature };
    }),
  }));

/** Messages of an earlier session of the same seven, replayed in this one. */
function replays(cast: DkgCast, liar: number): readonly DkgMessage[] {
  const { sessionId } = cast.config(1);
  const victim = (liar % 7) + 1;
  const earlier = (earlierParts ??= signedPartsOf(dkgCastOf(undefined, undefined, 0)));
  const { key, dealing } = valueOf(earlier[victim - 1]);
  const inventory = { tick: 0, keys: 127, lists: 127, readiness: [] };
  return [
    { kind: 'parts', sessionId, inventory, keys: [key], lists: [], readiness: [] },
    { kind: 'dealing', sessionId, inventory, dealing },
    { kind: 'dealing', sessionId: valueOf(earlierSession), inventory, dealing },
  ];
}

let earlierSession: Uint8Array | undefined;
let earlierParts:
  readonly { readonly key: SignedKey; readonly dealing: SignedDealing }[] | undefined;

function signedPartsOf(cast: DkgCast) {
  earlierSession = cast.config(1).sessionId;
  return cast.ids.map((_, at) => {
    const config = cast.config(at + 1);
    const context = { now: 0, entropy: sha256(config.identitySeed) };
    const key = dkg.start(config, [], context).state.keys.get(at + 1);
    const list = cast.ids.map((__, other) => (other === at ? valueOf(key) : null));
    const { fallbackKeys, identitySeed, suites } = config;
    const seed = sha256(identitySeed);
    const dealt = performDkgJob(
      { kind: 'deal', binding: config, dealer: at + 1, list, fallbackKeys, identitySeed, seed },
      suites,
    );
    if (dealt.kind !== 'dealt') throw new Error('a deal job deals');
    return { key: valueOf(key), dealing: dealt.dealing };
  });
}
