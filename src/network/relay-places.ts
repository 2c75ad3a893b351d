/**
 * Places at a node's relay. Members of the sections it knows always get one, up to the relay's own
 * bound: without a place an elder behind a router cannot be reached by browsers. Other peers, whose ids
 * cost nothing, share a few.
 */

/** Places for peers that are no members: nodes that are about to join. */
export const maxStrangerReservations = 64;
/** Of these, so many for one address. */
export const maxStrangerReservationsPerAddress = 8;

/** @param taken for each place a stranger has, the address it came from (see addressGroup). */
export function mayReserve(taken: readonly (string | null)[], address: string | null): boolean {
  if (taken.length >= maxStrangerReservations) return false;
  const ofAddress = taken.filter((each) => each !== null && each === address).length;
  return ofAddress < maxStrangerReservationsPerAddress;
}
