/** Quorum sizes of a section, in one place because off-by-one in "threshold" is a class of bug. */

/** Elders of a section: the seven oldest nodes (AGE-A7). */
export const ELDER_COUNT = 7;

/** Key shares needed for a signature: 5 of 7. The section polynomial has degree 4. */
export const SHARES_REQUIRED = 5;

/** More than two thirds: 5 of 7, 3 of 4. @param count voters, ≥ 1. */
export const supermajority = (count: number): number => Math.floor((2 * count) / 3) + 1;
