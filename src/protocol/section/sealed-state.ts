/**
 * A complete agreed state with the section's signature: nodes exchange it and restart from it.
 * Clients get the public half as a {@link SignedAuthority}.
 */
import { matches } from '#address/prefix.ts';
import { equalBytes, Reader, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  decodeSignedAuthority,
  encodeSignedAuthority,
  maxAuthorityBytes,
  type SignedAuthority,
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

/** The shape only: the receiver checks the ledger's root and the section's signature (N30). */
export function decodeSealedState(bytes: Uint8Array): Result<SealedState, 'malformed'> {
  if (bytes.length > maxSealedStateBytes) return err('malformed');
  const reader = new Reader(bytes);
  const signed = decodeSignedAuthority(reader.sized(maxAuthorityBytes));
  const ledger = decodeLedger(reader.sized(maxLedgerBytes));
  if (!signed.ok || !ledger.ok || !reader.finish()) return err('malformed');
  const { authority, signature, chain } = signed.value;
  return ok({ state: { authority, ledger: ledger.value }, signature, chain });
}

/** Sets the authority's ledger root to the hash of its ledger, ready to seal. */
export const withLedgerRoot = ({ authority, ledger }: SectionState): SectionState => ({
  authority: { ...authority, ledgerRoot: ledgerRootOf(ledger) },
  ledger,
});

/**
 * The first state of the key that a sealed final state hands over to (N24): its members are those
 * of the final generation under the child's prefix. Undefined unless the state is sealed and names
 * this key.
 */
export function firstStateOf(
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
  // All of them are members: no member leaves while a section closes (N22).
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
  return withLedgerRoot({
    authority: child,
    ledger: {
      activated: generation,
      vacancies: phase.charters.length === 2 ? 0 : ledger.vacancies,
      sessions: [],
      relocating: ledger.relocating.filter(inside),
      usedCertificates: ledger.usedCertificates,
      formerNames: ledger.formerNames.filter((name) => matches(prefix, name)),
      origin: { session: phase.sessionId, child: at, list: phase.lists[at] ?? [], sharingKeys },
      phase: { kind: 'open' },
      churnId: ledger.churnId,
    },
  });
}
