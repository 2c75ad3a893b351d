/**
 * What a section may decide and what follows, each rule a small function on sealed state. All are
 * in one object, so that tests can plant a bug by replacing one.
 */
import { matches, type Prefix } from '#address/prefix.ts';
import { ageOf, type XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { verifyReadinessProof } from '#protocol/dkg/index.ts';
import {
  demotedAge,
  relocationDestination,
  selectRelocations,
  holdsLottery,
  JOIN_AGE,
  rewardedAge,
} from '#protocol/node-age/index.ts';
import {
  type UsedCertificate,
  type DkgSession,
  ELDER_COUNT,
  type KeyPhase,
  SHARES_REQUIRED,
  type SectionLedger,
  type SectionState,
  placementOf,
  relocationId,
} from '#protocol/section/index.ts';
import type { ActKind, HandoverAct, JoinAct, RelocationCertificate } from './acts.ts';
import { canonicalOrder } from './act-order.ts';
import { keygenPlansNeeded } from './split-or-replace.ts';
import { isElder, isMember, lostElders } from './state-queries.ts';
import type { ActVerdict } from './act-verdict.ts';

/** Used relocation certificates remembered, 40 B each. */
export const maxUsedCertificates = 512;
/** Former names remembered, 32 B each. */
export const maxFormerNames = 512;
/** Relocations that are decided or can still be certified. */
export const maxRelocating = 64;
/** One running key generation for the section, and one for the split (N25). */
export const maxSessions = 2;
/** A relocation certificate expires after this many handovers of its source (N38). */
export const maxSourceHandovers = 64;

/** N7, MEMBERSHIP-B2: endorsements needed. A handover and a sealed set prove themselves. */
function endorsementsNeeded(kind: ActKind): number {
  switch (kind) {
    case 'join':
    case 'vacancies':
      return 3; // One more than may be faulty.
    case 'leave':
    case 'demote':
      return SHARES_REQUIRED;
    case 'handover':
    case 'sealedSet':
      return 0;
  }
}

/** N22, MEMBERSHIP-B8: once the handover is decided, only the sealed set; then nothing. */
function isDecidable(phase: KeyPhase, kind: ActKind): boolean {
  switch (phase.kind) {
    case 'open':
      return kind !== 'sealedSet';
    case 'closing':
      return kind === 'sealedSet';
    case 'sealed':
      return false;
  }
}

/** N8: drops what no longer fits after the acts before it. */
const isDropped = (verdict: ActVerdict): boolean => !verdict.ok;

/** MEMBERSHIP-B5: JOIN_AGE, or the age in the certificate, which must follow the rule for its reason. */
function isAgeRight({ name, certificate }: JoinAct): boolean {
  if (certificate === null) return ageOf(name) === JOIN_AGE;
  const { relocation } = certificate;
  const before = ageOf(relocation.name);
  const due = relocation.reason === 'reward' ? rewardedAge(before) : demotedAge(before);
  return relocation.age === due && ageOf(name) === relocation.age;
}

/** N39, MEMBERSHIP-B17: a joiner needs a vacancy; a relocating node needs none. */
const hasVacancy = ({ vacancies }: SectionLedger, { certificate }: JoinAct): boolean =>
  certificate !== null || vacancies > 0;

/** N38: the certificate's destination is in our prefix, so no other section can accept it. */
const isDestination = (prefix: Prefix, { relocation }: RelocationCertificate): boolean =>
  matches(prefix, relocation.destination);

/**
 * N38, MEMBERSHIP-B11: a certificate works once. Eviction is safe: a full list refuses every certificate not newer
 * than its oldest entry, and evicted entries are not newer than that.
 */
function isCertificateUnused(
  { usedCertificates }: SectionLedger,
  networkId: Uint8Array,
  { relocation, sourceEpoch }: RelocationCertificate,
): boolean {
  const id = relocationId(networkId, relocation);
  if (usedCertificates.some(({ certificateId }) => equalBytes(certificateId, id))) return false;
  return (
    usedCertificates.length < maxUsedCertificates || sourceEpoch > lowestEpoch(usedCertificates)
  );
}

/** Adds the certificate to the list; a full list evicts the one of the oldest epoch. */
function withUsedCertificate(
  { usedCertificates }: SectionLedger,
  networkId: Uint8Array,
  { relocation, sourceEpoch }: RelocationCertificate,
): readonly UsedCertificate[] {
  // The relocation may be certified again by the next key (MEMBERSHIP-B12).
  const used = {
    certificateId: relocationId(networkId, relocation),
    sourceEpoch: sourceEpoch + 1n,
  };
  const all = [...usedCertificates, used];
  if (all.length <= maxUsedCertificates) return all;
  const oldest = all.findIndex((each) => each.sourceEpoch === lowestEpoch(all));
  return all.filter((_, at) => at !== oldest);
}

const lowestEpoch = (usedCertificates: readonly UsedCertificate[]): bigint =>
  usedCertificates.reduce(
    (lowest, { sourceEpoch }) => (sourceEpoch < lowest ? sourceEpoch : lowest),
    usedCertificates[0]?.sourceEpoch ?? 0n,
  );

/**
 * N29, MEMBERSHIP-B13: seven members stay, so there are always seven elder candidates, and five elders stay, so
 * they can decide. Other lost elders wait for the handover.
 */
function mayRemove(state: SectionState, name: XorName): boolean {
  if (state.authority.members.length <= ELDER_COUNT) return false;
  if (!isElder(state, name)) return true;
  return lostElders(state).length < ELDER_COUNT - SHARES_REQUIRED;
}

/** N24: a session is eligible as long as all its candidates are members. */
const isEligible = (state: SectionState, session: DkgSession): boolean =>
  session.children.every(({ candidates }) => candidates.every((name) => isMember(state, name)));

/** N26: a proof for each child, so that a split is decided whole or not at all. */
const isComplete = (session: DkgSession, { ready }: HandoverAct): boolean =>
  ready.length === session.children.length;

/** N20: each child has a new key, and none is the current key. */
function areKeysNew({ authority }: SectionState, { ready }: HandoverAct): boolean {
  const keys = [authority.key, ...ready.map(({ key }) => key)];
  return keys.every((key, at) => keys.findIndex((other) => equalBytes(other, key)) === at);
}

/** No relocation during a key generation or a handover (N24). */
const mayRelocateNow = ({ ledger }: SectionState): boolean =>
  ledger.phase.kind === 'open' && ledger.sessions.length === 0;

/** The rules of the network. */
export const sectionRules = {
  endorsementsNeeded,
  isDecidable,
  canonicalOrder,
  isDropped,
  isAgeRight,
  hasVacancy,
  isDestination,
  isCertificateUnused,
  withUsedCertificate,
  mayRemove,
  isEligible,
  isComplete,
  areKeysNew,
  verifyReady: verifyReadinessProof,
  keygenPlansNeeded,
  mayRelocateNow,
  holdsLottery,
  selectRelocations,
  destinationOf: relocationDestination,
  rewardedAge,
  demotedAge,
  placementOf,
} as const;

export type SectionRules = typeof sectionRules;
