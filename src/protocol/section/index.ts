export {
  authoritySigningBytes,
  decodeSignedAuthority,
  encodeSignedAuthority,
  maxAuthorityBytes,
  maxChainLinks,
  maxMembers,
  verifySignedAuthority,
  type GenesisOutput,
  type SectionAuthority,
  type SectionFault,
  type SignedAuthority,
  type TrustAnchor,
  type TrustedKey,
} from './authority.ts';
export { charterHash, charterOf } from './charter.ts';
export {
  decodeLedger,
  emptyLedger,
  encodeLedger,
  ledgerRootOf,
  maxLedgerBytes,
  sessionIdOf,
  ticketBytes,
  ticketId,
} from './ledger.ts';
export { membersRoot, placementOf } from './members.ts';
export {
  bindLedger,
  decodeSealedState,
  encodeSealedState,
  maxSealedStateBytes,
  signedAuthorityOf,
  successorState,
  verifySealedState,
  type SealedState,
} from './sealed-state.ts';
export type {
  Charter,
  ConsumedTicket,
  DkgSession,
  Moving,
  Phase,
  SectionElder,
  SectionLedger,
  SectionMember,
  SectionState,
  SessionChild,
  SignedSuccessor,
  SnapshotRoot,
  SuccessorChild,
  SuccessorRecord,
} from './state.ts';
export {
  decodeSuccessor,
  encodeSuccessor,
  maxSuccessorBytes,
  successorBytes,
  successorHash,
  successorRecordOf,
} from './successor.ts';
export {
  decodeAddressRecord,
  encodeAddressRecord,
  maxAddressCharacters,
  maxAddresses,
  maxAddressRecordBytes,
  signAddressRecord,
  verifyAddressRecord,
  type AddressFault,
  type AddressRecord,
} from './address-record.ts';
export { networkIdOf } from './network-id.ts';
export { ELDER_COUNT, SHARES_REQUIRED, supermajority } from './quorum.ts';
