/**
 * A whole agreed state with the section's seal: what nodes tell each other, and what a restart
 * begins from. Clients get the public half of it as a {@link SignedAuthority}.
 */
import { matches } from '#address/prefix.ts';
import { equalBytes, Reader, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import {
  decodeSignedAuthority,
  encodeSignedAuthority,
  maxAuthorityBytes,
  verifySignedAuthority,
  type SectionFault,
  type SignedAuthority,
  type TrustAnchor,
  type TrustedKey,
} from './authority.ts';
import { decodeLedger, encodeLedger, ledgerRootOf, maxLedgerBytes } from './ledger.ts';
import type { SectionAuthority, SectionState, SignedSuccessor } from './state.ts';

export interface SealedState {
  readonly state: SectionState;
  /** 48 bytes by the section's key, purpose AUTHORITY. */
  readonly signature: Uint8Array;
  /** From a key the receiver trusts to this one. */
  readonly chain: readonly SignedSuccessor[];
}

export const maxSealedStateBytes = maxAuthorityBytes + maxLedgerBytes + 8;

export const signedAuthorityOf = ({ state, signature, chain }: SealedState): SignedAuthority => ({
  authority: state.authority,
  signature,
  chain,
});

export const encodeSealedState = (sealed: SealedState): Uint8Array =>
  new Writer()
    .sized(encodeSignedAuthority(signedAuthorityOf(sealed)))
    .sized(encodeLedger(sealed.state.ledger))
    .finish();

/** The shape only; trust comes from {@link verifySealedState}. */
export function decodeSealedState(bytes: Uint8Array): Result<SealedState, 'malformed'> {
  if (bytes.length > maxSealedStateBytes) return err('malformed');
  const reader = new Reader(bytes);
  const signed = decodeSignedAuthority(reader.sized(maxAuthorityBytes));
  const ledger = decodeLedger(reader.sized(maxLedgerBytes));
  if (!signed.ok || !ledger.ok || !reader.finish()) return err('malformed');
  const { authority, signature, chain } = signed.value;
  return ok({ state: { authority, ledger: ledger.value }, signature, chain });
}

/** What a sealed state says it is, before anything of it is believed. */
export interface SealedHead extends Pick<
  SectionAuthority,
  'prefix' | 'key' | 'epoch' | 'generation'
> {
  /** The key its chain starts from; null without links. */
  readonly firstParent: Uint8Array | null;
}

export function sealedHead(bytes: Uint8Array): SealedHead | undefined {
  const sealed = decodeSealedState(bytes);
  if (!sealed.ok) return undefined;
  const { prefix, key, epoch, generation } = sealed.value.state.authority;
  const firstParent = sealed.value.chain[0]?.record.parentKey ?? null;
  return { prefix, key, epoch, generation, firstParent };
}

export function verifySealedState(
  suite: ThresholdSuite,
  anchor: TrustAnchor,
  sealed: SealedState,
  trusted?: TrustedKey,
): Result<SealedState, SectionFault> {
  const { authority, ledger } = sealed.state;
  if (!equalBytes(ledgerRootOf(ledger), authority.ledgerRoot)) {
    return err({ kind: 'wrongLedger' });
  }
  const verified = verifySignedAuthority(suite, anchor, signedAuthorityOf(sealed), trusted);
  return verified.ok ? ok(sealed) : verified;
}

/** A state as it is sealed: the authority names the hash of its ledger. */
export const bindLedger = ({ authority, ledger }: SectionState): SectionState => ({
  authority: { ...authority, ledgerRoot: ledgerRootOf(ledger) },
  ledger,
});

/**
 * The first state of the key that a sealed final state hands over to (N24): its members are those
 * of the final generation under the child's prefix. Undefined unless the state is sealed and names
 * this key.
 */
export function successorState(
  { authority, ledger }: SectionState,
  childKey: Uint8Array,
): SectionState | undefined {
  const { phase } = ledger;
  if (phase.kind !== 'sealed') return undefined;
  const at = phase.charters.findIndex(({ key }) => equalBytes(key, childKey));
  const charter = phase.charters[at];
  if (charter === undefined) return undefined;
  const { networkId, prefix, key, epoch, elders } = charter;
  const generation = authority.generation + 1n;
  const inside = ({ name }: { readonly name: Uint8Array }): boolean => matches(prefix, name);
  // All of them are members: nobody leaves while a section closes (N22).
  const sharingKeys = elders.map(
    ({ name }) =>
      authority.members.find((each) => equalBytes(each.name, name))?.sharingKey ??
      new Uint8Array(32),
  );
  const child: SectionAuthority = {
    networkId,
    prefix,
    key,
    epoch,
    generation,
    elders,
    members: authority.members.filter(inside),
    ledgerRoot: authority.ledgerRoot,
    genesisOutput: authority.genesisOutput,
  };
  return bindLedger({
    authority: child,
    ledger: {
      activated: generation,
      places: phase.charters.length === 2 ? 0 : ledger.places,
      sessions: [],
      moving: ledger.moving.filter(inside),
      consumed: ledger.consumed,
      departed: ledger.departed.filter((name) => matches(prefix, name)),
      origin: { session: phase.sessionId, child: at, list: phase.lists[at] ?? [], sharingKeys },
      phase: { kind: 'open' },
      churnId: ledger.churnId,
    },
  });
}
