/**
 * A complete network for tests: sections that hand over and split, with the toy curve. Every key is
 * derived from a string, so the same strings give the same network.
 */
import {
  child,
  EMPTY_PREFIX,
  matches,
  prefixOf,
  showPrefix,
  type Prefix,
} from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { compareBytes, utf8 } from '#core/codec/bytes.ts';
import { hkdf, labelledHash, sha256 } from '#crypto/hash.ts';
import {
  authoritySigningBytes,
  withLedgerRoot,
  charterOf,
  ELDER_COUNT,
  emptyLedger,
  networkIdOf,
  SHARES_REQUIRED,
  successorBytes,
  successorRecordOf,
  firstStateOf,
  type Charter,
  type SectionElder,
  type SectionState,
  type SignedAuthority,
  type SignedSuccessor,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';

/** A section with its state and its whole secret, which no real section ever has. */
export interface TestSection {
  readonly state: SectionState;
  readonly secret: Uint8Array;
  /** From genesis. */
  readonly chain: readonly SignedSuccessor[];
}

export const genesis = (
  text = 'genesis',
  adults = 30,
): TestSection & { readonly anchor: TrustAnchor } => {
  const { secret, key, elders } = makeKey(text, EMPTY_PREFIX);
  const networkId = networkIdOf(key, text);
  const others = Array.from({ length: adults }, (_, i) => nameUnder(EMPTY_PREFIX, `${text} ${i}`));
  const state = withLedgerRoot({
    authority: {
      networkId,
      prefix: EMPTY_PREFIX,
      key,
      epoch: 0n,
      generation: 0n,
      elders,
      members: membersOf([...elders.map(({ name }) => name), ...others]),
      ledgerRoot: new Uint8Array(32),
      genesisOutput: null,
    },
    ledger: emptyLedger,
  });
  return { state, secret, chain: [], anchor: { genesisKey: key, networkId } };
};

/** The next generation: only the counter changes. */
export const grow = (section: TestSection): TestSection => {
  const { authority, ledger } = section.state;
  const state = { authority: { ...authority, generation: authority.generation + 1n }, ledger };
  return { ...section, state: withLedgerRoot(state) };
};

/** A handover to one key, or to two (a split) if two strings are given. */
export function succeed(
  section: TestSection,
  ...texts: readonly [string] | readonly [string, string]
) {
  const { authority, ledger } = section.state;
  const made = texts.map((text, bit) => {
    const prefix =
      texts.length === 1 ? authority.prefix : child(authority.prefix, bit === 0 ? 0 : 1);
    const { secret, key, elders } = makeKey(text, prefix);
    const charter: Charter = charterOf({
      networkId: authority.networkId,
      prefix,
      key,
      epoch: authority.epoch + 1n,
      elders,
    });
    return { secret, charter };
  });
  const newcomers = made.flatMap(({ charter }) => charter.elders.map(({ name }) => name));
  const sealed = withLedgerRoot({
    authority: {
      ...authority,
      generation: authority.generation + 2n,
      members: membersOf([...authority.members.map(({ name }) => name), ...newcomers]),
    },
    ledger: {
      ...ledger,
      phase: {
        kind: 'sealed',
        sessionId: sha256(utf8(texts.join())),
        charters: made.map(({ charter }) => charter),
        lists: made.map((_, at) => Array.from({ length: 7 }, () => sha256(utf8(`list ${at}`)))),
        snapshots: [],
        sealedRoot: sha256(utf8(`sealed ${texts.join()}`)),
      },
    },
  });
  const record = successorRecordOf(sealed);
  if (record === undefined) throw new Error('sealed');
  const signature = toySuite.sign(section.secret, 'SUCCESSOR', successorBytes(record));
  const link: SignedSuccessor = { record, signature };
  const children = made.map(({ secret, charter }): TestSection => {
    const state = firstStateOf(sealed, charter.key);
    if (state === undefined) throw new Error('a child of this state');
    return { state, secret, chain: [...section.chain, link] };
  });
  return { sealed, link, children };
}

export const only = (children: readonly TestSection[]): TestSection => {
  const [first] = children;
  if (first === undefined) throw new Error('one child');
  return first;
};

export function both(children: readonly TestSection[]): readonly [TestSection, TestSection] {
  const [first, second] = children;
  if (first === undefined || second === undefined) throw new Error('two children');
  return [first, second];
}

/** @param links how many of the last links to include; all by default. */
export function sign(section: TestSection, links = section.chain.length): SignedAuthority {
  const { authority } = section.state;
  const signature = toySuite.sign(section.secret, 'AUTHORITY', authoritySigningBytes(authority));
  return { authority, signature, chain: links === 0 ? [] : section.chain.slice(-links) };
}

/** A name under a prefix, always the same for the same string. */
export function nameUnder(prefix: Prefix, text: string) {
  const name = sha256(utf8(text));
  const whole = prefixOf(name, 255).bits;
  const named = name.map((byte, i) => byte ^ (prefixOf(whole, prefix.bitCount).bits[i] ?? 0));
  return toXorName(named.map((byte, i) => byte ^ (prefix.bits[i] ?? 0)));
}

export const describeAll = (authorities: readonly { readonly prefix: Prefix }[]): string =>
  authorities.map(({ prefix }) => showPrefix(prefix)).join(' ');

function makeKey(text: string, prefix: Prefix) {
  const coefficients = Array.from({ length: SHARES_REQUIRED }, (_, k) =>
    toyScalars.reduce(hkdf(utf8(`${text} ${k}`), new Uint8Array(), 'key', 48)),
  );
  const [secret = new Uint8Array(32)] = coefficients;
  const names = Array.from({ length: ELDER_COUNT }, (_, i) =>
    nameUnder(prefix, `${text} elder ${i}`),
  );
  const elders = names.sort(compareBytes).map((name, at): SectionElder => {
    const publicShare = toySuite.publicKey(toyScalars.evaluate(coefficients, at + 1));
    return { name, publicShare, index: at + 1 };
  });
  if (!names.every((name) => matches(prefix, name))) throw new Error('names under the prefix');
  return { secret, key: toySuite.publicKey(secret), elders };
}

const membersOf = (names: readonly ReturnType<typeof nameUnder>[]) =>
  [...names].sort(compareBytes).map((name) => ({
    name,
    joined: 0n,
    placement: labelledHash('placement', name),
    sharingKey: new Uint8Array(32),
  }));
