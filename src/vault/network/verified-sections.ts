/**
 * Verifies the current sections in the vault: follows the worker's proofs from the verified sections, page
 * by page, down to the genesis key of the Safe's network (N33).
 */
import { equalBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import type { SectionKeys } from '#money/spend-certificate.ts';
import { decodeProof } from '#protocol/anti-entropy/index.ts';
import {
  closestSection,
  performVerifyUpdate,
  sectionFor,
  sectionsOf,
  type SectionAuthority,
  type SectionProof,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { moneyKeysOf } from '#roles/light-client/money-keys.ts';
import {
  decodeTrustStore,
  encodeTrustStore,
  planPin,
  openTrustStore,
  pin,
  type TrustStore,
} from '#roles/light-client/stored-sections.ts';
import { syncChain } from '#runtime/sync-chain.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { networkNotReached, VaultFailure } from '../failure.ts';
import type { WorkerRpc } from './worker-rpc.ts';

export interface VerifiedSections {
  /** The newest section responsible for a name; by default, for the network's first name. */
  readonly newest: (name?: Uint8Array) => Promise<SectionAuthority>;
  /** Every section with a current key, as far as this vault can verify: both halves of a split. */
  readonly sections: () => Promise<readonly SectionAuthority[]>;
  /** Every current and superseded money key, as far as verified; requests newer ones first (N34). */
  readonly moneyKeys: () => Promise<SectionKeys>;
}

export interface PinStore {
  readonly get: (networkId: string) => Promise<Uint8Array | undefined>;
  readonly put: (networkId: string, pins: Uint8Array) => Promise<void>;
}

interface OpenPins {
  readonly networkId: string;
  readonly anchor: TrustAnchor;
  pins: TrustStore;
}

/** One pairing per new key: an unchanged section costs none. */
export function createVerifiedSections(
  rpc: WorkerRpc,
  network: () => PinnedNetwork | null,
  store: PinStore,
): VerifiedSections {
  let held: OpenPins | undefined;

  const open = async (): Promise<OpenPins> => {
    const pinned = network();
    if (pinned === null) throw networkNotReached();
    if (held?.networkId !== pinned.networkId) held = await openPins(store, pinned);
    return held;
  };

  const newest: VerifiedSections['newest'] = async (name) => {
    const known = await open();
    const { genesisKey } = known.anchor;
    const wanted = name ?? genesisKey.slice(0, 32);
    await syncChain(
      () => known.pins.tree,
      wanted,
      async (from) => {
        const proof = decodeProof(await rpc('section/proof', { name: wanted, from }));
        if (!proof.ok) throw otherNetworkShown();
        await addProof(store, known, proof.value);
        return proof.value;
      },
    );
    const { tree } = known.pins;
    const authority = sectionFor(tree, wanted) ?? closestSection(tree, wanted);
    if (authority === undefined) throw otherNetworkShown();
    return authority;
  };

  return {
    newest,
    sections: async () => {
      await newest();
      const known = await open();
      // Requests a half known by name only; the next call requests its own halves.
      for (const key of known.pins.tree.keys.values()) {
        const held = sectionFor(known.pins.tree, key.prefix.bits);
        const isNew = key.successor === null && !(held && equalBytes(held.key, key.key));
        if (isNew) await newest(key.prefix.bits);
      }
      const { tree } = known.pins;
      return sectionsOf(tree).filter(({ key }) => tree.keys.get(toHex(key))?.successor === null);
    },
    moneyKeys: async () => {
      await newest();
      return moneyKeysOf((await open()).pins.tree);
    },
  };
}

async function openPins(store: PinStore, pinned: PinnedNetwork): Promise<OpenPins> {
  const [networkId, genesisKey] = [fromHex(pinned.networkId), fromHex(pinned.genesisKey)];
  if (!networkId.ok || !genesisKey.ok) throw otherNetworkShown();
  const anchor = { networkId: networkId.value, genesisKey: genesisKey.value };
  // Without its disk the vault verifies everything again; nothing else is lost.
  const stored = await store.get(pinned.networkId).catch(() => undefined);
  const pins = (stored && decodeTrustStore(stored, anchor)) ?? openTrustStore(anchor);
  return { networkId: pinned.networkId, anchor, pins };
}

/** @throws VaultFailure when the proof is invalid, or names a second successor of a key. */
async function addProof(store: PinStore, known: OpenPins, proof: SectionProof): Promise<void> {
  const plan = planPin(known.pins, proof);
  if (plan.kind === 'same') return;
  const verified = plan.kind === 'verify' ? performVerifyUpdate(blsSuite, plan.job) : undefined;
  if (verified?.ok !== true) throw otherNetworkShown();
  const { store: pinned, changed } = pin(known.pins, verified.value);
  const isFork = changed && pinned.tree === known.pins.tree;
  known.pins = pinned;
  if (changed) await store.put(known.networkId, encodeTrustStore(pinned)).catch(() => undefined);
  if (isFork) throw forked();
}

const otherNetworkShown = (): VaultFailure =>
  new VaultFailure(
    'otherNetwork',
    'The network shown here is not the one your Safe belongs to. No money was moved.',
  );

const forked = (): VaultFailure =>
  new VaultFailure(
    'otherNetwork',
    'A section of your network has named two different successors. Safe keeps to the first; no money was moved.',
  );
