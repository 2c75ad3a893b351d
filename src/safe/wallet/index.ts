export { dustFromBytes, maxClaimedBytes, maxLeavingBytes, maxOwnBytes, takesIn } from './budget.ts';
export { decodeWallet, encodeWallet } from './codec.ts';
export {
  balanceOf,
  historyOf,
  type Balance,
  type HistoryItem,
  type HistoryState,
} from './history.ts';
export {
  leaveAt,
  maxListPosition,
  mergePlace,
  readAgain,
  unreadList,
  type ListPlace,
  type ListPlaces,
} from './lists.ts';
export {
  coinSecret,
  planPayment,
  recoverySeed,
  spendable,
  type PaymentIntent,
  type PaymentWish,
  type PlanError,
  wholeCoins,
} from './plan.ts';
export {
  decodeReceipt,
  encodeReceipt,
  isWholeReceipt,
  maxReceiptBytes,
  parseReceiptText,
  receiptBytesToText,
  receiptText,
  type ReceiptError,
} from './receipt.ts';
export {
  findOutput,
  genesisCoin,
  scanCommitted,
  scanEntry,
  type Scanned,
  type Scanner,
} from './scan.ts';
export { walletBytes } from './size.ts';
export {
  addCoin,
  addPayment,
  addPlaces,
  addSpend,
  addStage,
  deadPayments,
  emptyWallet,
  holdsOutput,
  mergeWallets,
  type Coin,
  type CoinRecord,
  type PaymentRecord,
  type PaymentStage,
  type WalletState,
} from './state.ts';
