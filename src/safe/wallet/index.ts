export {
  dustLimitFromBytes,
  maxIncomingBytes,
  maxBytesForSending,
  maxBytesForChange,
  acceptsCoin,
} from './growth-limits.ts';
export { adoptPayment, type NotAdopted } from './adopt-payment.ts';
export { decodeWallet, encodeWallet } from './stored/codec.ts';
export { balanceOf, historyOf, type Balance, type HistoryItem } from './history.ts';
export {
  withSkipped,
  maxListPosition,
  mergeListPosition,
  rereadSkipped,
  startOfList,
  type ListPosition,
  type ListPositions,
} from './list-positions.ts';
export {
  coinSecret,
  planPayment,
  recoverySeed,
  type PaymentIntent,
  type PaymentOrder,
  type PlanError,
  maxWithoutChange,
} from './plan-payment.ts';
export { addPayment, deadPayments, spendable } from './reserve.ts';
export {
  decodeReceipt,
  encodeReceipt,
  isCompleteReceipt,
  maxReceiptBytes,
  parseReceiptText,
  receiptBytesToText,
  type ReceiptError,
} from './receipt.ts';
export {
  findOutput,
  genesisCoin,
  scanCommitted,
  scanEntry,
  type ScanResult,
  type ScanContext,
} from './scan.ts';
export { walletBytes } from './stored/wallet-bytes.ts';
export {
  addCoin,
  addListPositions,
  addSpend,
  addStage,
  emptyWallet,
  holdsOutput,
  mergeWallets,
  type Coin,
  type CoinRecord,
  type PaymentRecord,
  type StoredStage,
  type WalletState,
} from './state.ts';
