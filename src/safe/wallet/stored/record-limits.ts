/** Bounds shared by the wallet's writers and readers. */

/** Coins, payments, or reservations of one coin; the byte bound is reached long before. */
export const maxRecords = 100_000;
/** An address currently has 128 letters. */
export const maxAddressBytes = 256;
