/**
 * Who speaks for a section, checked here: the worker's proofs are followed from what was verified
 * before, page by page, down to the key the Safe's network was born with (N33).
 */
import { equalBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import type { SectionKeys } from '#money/certificate.ts';
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
  decodePins,
  encodePins,
  follow,
  openPins,
  pin,
  type Pins,
} from '#roles/light-client/pins.ts';
import { readPages } from '#runtime/read-pages.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { notMet, VaultFailure } from './failure.ts';
import type { Rpc } from './rpc.ts';

export interface AuthorityReader {
  /** The newest section that answers for a name; without one, that of the network's first name. */
  readonly newest: (name?: Uint8Array) => Promise<SectionAuthority>;
  /** Every section that speaks now, as far as this vault can verify: both halves of a split. */
  readonly sections: () => Promise<readonly SectionAuthority[]>;
  /** Every key that signs or signed for money, as far as verified; asks for news first (N34). */
  readonly moneyKeys: () => Promise<SectionKeys>;
}

export interface PinStore {
  readonly get: (networkId: string) => Promise<Uint8Array | undefined>;
  readonly put: (networkId: string, pins: Uint8Array) => Promise<void>;
}

/** A pairing only for what is new: asked again, an unchanged section costs none. */
export function createAuthorityReader(
  rpc: Pick<Rpc, 'call'>,
  network: () => PinnedNetwork | null,
  store: PinStore,
): AuthorityReader {
  let held: { readonly networkId: string; readonly anchor: TrustAnchor; pins: Pins } | undefined;

  const open = async (): Promise<NonNullable<typeof held>> => {
    const pinned = network();
    if (pinned === null) throw notMet();
    if (held?.networkId === pinned.networkId) return held;
    const [networkId, genesisKey] = [fromHex(pinned.networkId), fromHex(pinned.genesisKey)];
    if (!networkId.ok || !genesisKey.ok) throw elsewhere();
    const anchor = { networkId: networkId.value, genesisKey: genesisKey.value };
    // Without its disk the vault verifies everything once more; nothing else is lost.
    const kept = await store.get(pinned.networkId).catch(() => undefined);
    const pins = (kept && decodePins(kept, anchor)) ?? openPins(anchor);
    held = { networkId: pinned.networkId, anchor, pins };
    return held;
  };

  /** One page from the worker. @throws VaultFailure when it does not hold. */
  const learn = async (known: NonNullable<typeof held>, proof: SectionProof): Promise<void> => {
    const plan = follow(known.pins, proof);
    if (plan.kind === 'same') return;
    const verified = plan.kind === 'verify' ? performVerifyUpdate(blsSuite, plan.job) : undefined;
    if (verified?.ok !== true) throw elsewhere();
    const { pins, news } = pin(known.pins, verified.value);
    const isFork = news && pins.tree === known.pins.tree;
    known.pins = pins;
    if (news) await store.put(known.networkId, encodePins(pins)).catch(() => undefined);
    if (isFork) throw forked();
  };

  const newest: AuthorityReader['newest'] = async (name) => {
    const known = await open();
    const { genesisKey } = known.anchor;
    const wanted = name ?? genesisKey.slice(0, 32);
    await readPages(
      () => known.pins.tree,
      wanted,
      async (from) => {
        const query = `name=${toHex(wanted)}&from=${toHex(from)}`;
        const response = await rpc.call(`section/proof?${query}`);
        const proof = decodeProof(new Uint8Array(await response.arrayBuffer()));
        if (!proof.ok) throw elsewhere();
        await learn(known, proof.value);
        return proof.value;
      },
    );
    const { tree } = known.pins;
    const authority = sectionFor(tree, wanted) ?? closestSection(tree, wanted);
    if (authority === undefined) throw elsewhere();
    return authority;
  };

  return {
    newest,
    sections: async () => {
      await newest();
      const known = await open();
      // A half of which only the name is known is asked for; the next call asks for its halves.
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

const elsewhere = (): VaultFailure =>
  new VaultFailure(
    'otherNetwork',
    'The network shown here is not the one your Safe belongs to. No money was moved.',
  );

const forked = (): VaultFailure =>
  new VaultFailure(
    'otherNetwork',
    'A section of your network has named two different successors. Safe keeps to the first; no money was moved.',
  );
