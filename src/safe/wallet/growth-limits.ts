/**
 * Bounds the size of a wallet. Anyone who knows an address can send it many small coins, and the index that
 * contains the wallet also contains the list of files: incoming payments may use only a small part.
 */

/** A smaller wallet accepts every incoming coin. */
export const dustLimitFromBytes = 1024 * 1024;
/** Each further step makes the smallest accepted coin ten times as large. */
export const dustLimitStepBytes = 512 * 1024;
/** 0.001: the smallest coin that a wallet of {@link dustLimitFromBytes} accepts. */
const smallestDustLimit = 1_000_000n;
/** From this size on, no coin is taken from the lists; coins a person asks for still fit. */
export const maxIncomingBytes = 4 * 1024 * 1024;
/** From this size on, only payments without change are made, and no receipt is redeemed. */
export const maxBytesForChange = 7 * 1024 * 1024;
/**
 * Up to this size a full wallet can pay with whole coins: two merged full wallets are still smaller, and
 * the space up to `MAX_WALLET_BYTES` is for the receipts of pending payments.
 */
export const maxBytesForSending = 15 * 1024 * 1024;

/** Would a wallet of this size accept a listed coin of this amount? */
export function acceptsCoin(walletBytes: number, amount: bigint): boolean {
  if (walletBytes < dustLimitFromBytes) return true;
  if (walletBytes >= maxIncomingBytes) return false;
  const steps = Math.floor((walletBytes - dustLimitFromBytes) / dustLimitStepBytes);
  return amount >= smallestDustLimit * 10n ** BigInt(steps);
}
