export { decodeWallet, encodeWallet } from './codec.ts';
export {
  balanceOf,
  historyOf,
  type Balance,
  type HistoryItem,
  type HistoryState,
} from './history.ts';
export {
  coinSecret,
  planPayment,
  recoverySeed,
  spendable,
  type PaymentIntent,
  type PaymentWish,
  type PlanError,
} from './plan.ts';
export {
  decodeReceipt,
  encodeReceipt,
  parseReceiptText,
  receiptBytesToText,
  receiptText,
  type ReceiptError,
} from './receipt.ts';
export { findOutput, genesisCoin, scanCommitted, scanEntry, type Scanner } from './scan.ts';
export {
  addCoin,
  addPayment,
  addSpend,
  addStage,
  emptyWallet,
  isReplaced,
  mergeWallets,
  type Coin,
  type CoinRecord,
  type PaymentRecord,
  type PaymentStage,
  type WalletState,
} from './state.ts';
