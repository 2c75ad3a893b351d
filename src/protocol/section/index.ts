export {
  authoritySigningBytes,
  decodeSignedAuthority,
  encodeSignedAuthority,
  maxAuthorityBytes,
  maxMembers,
  verifySignedAuthority,
  type GenesisOutput,
  type SectionAuthority,
  type SectionElder,
  type SectionFault,
  type SectionMember,
  type SignedAuthority,
  type TrustAnchor,
} from './authority.ts';
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
