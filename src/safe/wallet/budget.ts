/**
 * How large a wallet may grow. Whoever knows an address can pay it as many small coins as he likes, and
 * the index that holds the wallet also holds the list of files: strangers get a small part of it.
 */

/** A wallet below this takes every coin that it is paid. */
export const dustFromBytes = 1024 * 1024;
/** Each further step makes the smallest coin taken ten times as large. */
export const dustStepBytes = 512 * 1024;
/** 0.001: the smallest coin that a wallet of {@link dustFromBytes} takes. */
const firstDustBound = 1_000_000n;
/** Nothing is taken from the lists any more; what a person asks for still fits. */
export const maxClaimedBytes = 4 * 1024 * 1024;
/** From here on only payments without change are made, and no receipt is redeemed. */
export const maxOwnBytes = 7 * 1024 * 1024;
/**
 * Money leaves a full wallet as whole coins up to this size: two full wallets that were merged are still
 * below it, and between it and `MAX_WALLET_BYTES` there is room for the receipts of what is under way.
 */
export const maxLeavingBytes = 15 * 1024 * 1024;

/** Would a wallet of this size take in a coin of this amount that a list offers? */
export function takesIn(walletBytes: number, amount: bigint): boolean {
  if (walletBytes < dustFromBytes) return true;
  if (walletBytes >= maxClaimedBytes) return false;
  const steps = Math.floor((walletBytes - dustFromBytes) / dustStepBytes);
  return amount >= firstDustBound * 10n ** BigInt(steps);
}
