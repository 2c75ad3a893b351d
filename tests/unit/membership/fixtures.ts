/** A section made by hand, with its nodes and a toy key whose shares the test holds. */
import { EMPTY_PREFIX, type Prefix } from '#address/prefix.ts';
import { toXorName, type XorName } from '#address/xor-name.ts';
import { compareBytes, concat, equalBytes, utf8 } from '#core/codec/bytes.ts';
import { labelledHash } from '#crypto/hash.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import {
  encodeAct,
  endorse,
  presentElders,
  readyBytes,
  snapshotBytes,
  withEndorsements,
  type ActBody,
  type ActSuites,
  type HandoverAct,
  type SealedSetAct,
} from '#protocol/membership/index.ts';
import { childSessionId, listHash } from '#protocol/dkg/index.ts';
import { voucherBytes } from '#protocol/dkg/transcript.ts';
import type { DkgSession, SectionElder, SectionState } from '#protocol/section/index.ts';
import type { Prng } from '../../sim/prng.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';

/** A toy identity signs with its name, so that a test can choose any name. */
const identity: IdentitySuite = {
  sign: (name, message) => {
    const half = labelledHash('safe/toy/identity', name, message);
    return concat(half, half);
  },
  verify: (name, message, signature) => equalBytes(identity.sign(name, message), signature),
};

export const suites: ActSuites = {
  threshold: toySuite,
  identity,
  isSharingKey: (bytes) => bytes[0] !== 0xff,
};

export const networkId = labelledHash('safe/toy/network');

/** A key of degree 4 with its seven public shares. */
export interface ToyKey {
  readonly secret: Uint8Array;
  readonly key: Uint8Array;
  readonly publicShares: readonly Uint8Array[];
}

export function toyKey(seed: Uint8Array): ToyKey {
  const coefficients = Array.from({ length: 5 }, (_, k) =>
    toyScalars.reduce(labelledHash('safe/toy/coefficient', seed, Uint8Array.of(k))),
  );
  const secret = toyScalars.evaluate(coefficients, 0);
  return {
    secret,
    key: toySuite.publicKey(secret),
    publicShares: Array.from({ length: 7 }, (_, at) =>
      toySuite.publicKey(toyScalars.evaluate(coefficients, at + 1)),
    ),
  };
}

/** A name of this age under this prefix. */
export function nameAt(seed: Uint8Array, age: number, prefix: Prefix = EMPTY_PREFIX): XorName {
  const name = labelledHash('safe/toy/node', seed);
  for (let bit = 0; bit < prefix.bitCount; bit++) {
    const mask = 0x80 >> (bit & 7);
    const at = bit >> 3;
    name[at] = ((name[at] ?? 0) & ~mask) | ((prefix.bits[at] ?? 0) & mask);
  }
  name[31] = age;
  return toXorName(name);
}

export const sharingKeyOf = (name: Uint8Array): Uint8Array =>
  Uint8Array.of(1, ...labelledHash('safe/toy/sharing-key', name).slice(1));

export interface Made {
  readonly state: SectionState;
  readonly key: ToyKey;
}

/** A section whose first seven of these names are elders; one more for each age. */
export function makeSection(
  ages: readonly number[],
  change: Partial<SectionState['ledger']> = {},
): Made {
  const names = ages.map((age, at) => nameAt(utf8(`founder ${at}`), age));
  return makeSectionOf(names, change);
}

export function makeSectionOf(
  names: readonly XorName[],
  change: Partial<SectionState['ledger']> = {},
  prefix: Prefix = EMPTY_PREFIX,
): Made {
  const key = toyKey(utf8('genesis'));
  const state: SectionState = {
    authority: {
      networkId,
      prefix,
      key: key.key,
      epoch: 0n,
      generation: 0n,
      elders: eldersOf(names.slice(0, 7), key),
      members: [...names].sort(compareBytes).map((name) => ({
        name,
        joined: 0n,
        placement: labelledHash('safe/toy/placement', name),
        sharingKey: sharingKeyOf(name),
      })),
      ledgerRoot: new Uint8Array(32),
      genesisOutput: null,
    },
    ledger: {
      activated: 0n,
      vacancies: 0,
      sessions: [],
      relocating: [],
      usedCertificates: [],
      formerNames: [],
      origin: null,
      phase: { kind: 'open' },
      churnId: new Uint8Array(32),
      ...change,
    },
  };
  return { state, key };
}

export const eldersOf = (names: readonly XorName[], key: ToyKey): readonly SectionElder[] =>
  [...names].sort(compareBytes).map((name, at) => ({
    name,
    publicShare: key.publicShares[at] ?? new Uint8Array(96),
    index: at + 1,
  }));

/** The act as bytes, endorsed by `count` elders that are still members. */
export function endorsed(state: SectionState, body: ActBody, count: number, from = 0): Uint8Array {
  const present = presentElders(state);
  const elders = state.authority.elders
    .filter(({ name }) => present.includes(name))
    .slice(from, from + count);
  const endorsements = elders.map(({ index, name }) =>
    endorse(suites.identity, state, index, name, body),
  );
  return encodeAct(withEndorsements({ body, endorsements: [] }, endorsements));
}

/**
 * The handover act of this session's candidates. @param salt selects another key.
 * @param vouching the names that vouch for the key instead of the session's candidates.
 */
export function handoverFor(
  state: SectionState,
  session: DkgSession,
  salt = 'list',
  vouching?: readonly XorName[],
): { readonly body: HandoverAct; readonly keys: readonly ToyKey[] } {
  const keys = session.children.map((_, child) =>
    toyKey(labelledHash('safe/toy/session', session.id, utf8(salt), Uint8Array.of(child))),
  );
  const ready = session.children.map(({ candidates }, child) => {
    const { secret, key, publicShares } = keys[child]!;
    const binding = { networkId, sessionId: childSessionId(session.id, child) };
    const dealing = labelledHash('safe/toy/dealing', utf8(salt));
    const list = [dealing, dealing, dealing, dealing, dealing, null, null];
    const hash = listHash(binding, list);
    const bytes = readyBytes(state, session, child, hash, { key, publicShares });
    const names = vouching ?? candidates;
    const vouchers = [1, 2, 4, 5, 7].map((candidate) => ({
      candidate,
      signature: identity.sign(names[candidate - 1]!, voucherBytes(binding, bytes)),
    }));
    const signature = toySuite.sign(secret, 'READY', bytes);
    return { list, key, publicShares, signature, vouchers };
  });
  return { body: { kind: 'handover', sessionId: session.id, ready }, keys };
}

/** The toy merge of these roots. */
export const toyMerge = (roots: readonly Uint8Array[]): Uint8Array =>
  labelledHash('safe/toy/merge', ...roots);

/** Snapshots of these elders, signed and merged. */
export function sealedSetBy(state: SectionState, elders: readonly number[]): SealedSetAct {
  const snapshots = elders.map((elder) => {
    const root = labelledHash('safe/toy/root', Uint8Array.of(elder));
    const name = state.authority.elders[elder - 1]!.name;
    const message = snapshotBytes(state, elder, root);
    return { elder, root, signature: identity.sign(name, message) };
  });
  return { kind: 'sealedSet', snapshots, sealedRoot: toyMerge(snapshots.map(({ root }) => root)) };
}

/** A test's churn id of a decision, in place of the one five shares give. */
export const churnIdFor = (state: SectionState, salt: string): Uint8Array =>
  labelledHash('safe/toy/churn', state.authority.key, utf8(`${state.authority.generation}${salt}`));

export const freshName = (prng: Prng, age: number, prefix: Prefix): XorName =>
  nameAt(prng.bytes(32), age, prefix);
