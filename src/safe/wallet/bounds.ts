/** Bounds that the wallet's writers and readers share. */

/** Coins, payments, or payments that were written for one coin; bytes end a wallet long before. */
export const maxRecords = 100_000;
/** An address is 128 letters now. */
export const maxAddressBytes = 256;
