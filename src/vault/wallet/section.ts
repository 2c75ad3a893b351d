/** Who speaks for the section, checked here against the genesis key that the Safe is pinned to. */
import { fromHex } from '#core/codec/bytes.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import {
  decodeSignedAuthority,
  verifySignedAuthority,
  type SectionAuthority,
} from '#protocol/section/index.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { VaultFailure } from '../failure.ts';
import type { Rpc } from '../rpc.ts';

/** Verifying costs a pairing, so one section is checked once. */
export function createSectionReader(
  rpc: Rpc,
  network: () => PinnedNetwork | null,
): () => Promise<SectionAuthority> {
  let known: { readonly networkId: string; readonly authority: SectionAuthority } | undefined;
  return async () => {
    const pinned = network();
    if (pinned === null) {
      throw new VaultFailure(
        'offline',
        'Your Safe has not met a network yet. Go online once; then money can move.',
      );
    }
    if (known?.networkId === pinned.networkId) return known.authority;
    const [networkId, genesisKey] = [fromHex(pinned.networkId), fromHex(pinned.genesisKey)];
    const response = await rpc.call('section');
    const signed = decodeSignedAuthority(new Uint8Array(await response.arrayBuffer()));
    if (networkId.ok && genesisKey.ok && signed.ok) {
      const trust = { networkId: networkId.value, genesisKey: genesisKey.value };
      const verified = verifySignedAuthority(blsSuite, trust, signed.value);
      if (verified.ok) {
        known = { networkId: pinned.networkId, authority: verified.value };
        return verified.value;
      }
    }
    throw new VaultFailure(
      'otherNetwork',
      'The network shown here is not the one your Safe belongs to. No money was moved.',
    );
  };
}
