/**
 * Reservations at a node's relay. Members of the sections it knows always get one, up to the relay's own
 * bound: without one, browsers cannot reach an elder behind a router. Other peers, whose ids are free,
 * share a few.
 */

/** Reservations for non-members: nodes that are about to join. */
export const maxNonMemberReservations = 64;
/** The part of it for one address. */
export const maxNonMemberReservationsPerAddress = 8;

/** @param taken the address of each reservation held by a non-member (see addressGroup). */
export function mayReserve(taken: readonly (string | null)[], address: string | null): boolean {
  if (taken.length >= maxNonMemberReservations) return false;
  const ofAddress = taken.filter((each) => each !== null && each === address).length;
  return ofAddress < maxNonMemberReservationsPerAddress;
}
