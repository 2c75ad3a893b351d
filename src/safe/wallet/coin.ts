/** One unspent output with its owner's data. */
export interface Coin {
  /** I: names the coin here and its slot in the network. */
  readonly keyImage: Uint8Array;
  readonly oneTimeKey: Uint8Array;
  readonly amount: bigint;
  /** How its secret is derived from the wallet seed. */
  readonly key:
    { readonly kind: 'genesis' } | { readonly kind: 'stealth'; readonly tweak: Uint8Array };
  /** The transaction that made it, 32 bytes; null for the network's first coin. */
  readonly txid: Uint8Array | null;
  readonly memo: Uint8Array;
}
