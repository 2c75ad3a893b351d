/**
 * A light client as a program that keeps one map for its whole life: it believes nothing but proofs
 * that follow from the genesis key, and learns of splits and new keys from those who refuse it, as
 * the browser's light node does.
 */
import { createHash, randomBytes } from 'node:crypto';
import { showPrefix } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { Refusal } from '#core/refusal.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { countReceipts, storedChunk } from '#data/receipt.ts';
import { decodeProof, maxHops, maxPages } from '#protocol/anti-entropy/index.ts';
import { stampOf } from '#protocol/replication/index.ts';
import {
  closestSection,
  decodeSignedAuthority,
  newestKey,
  performVerifyUpdate,
  proofOf,
  sectionFor,
  sectionsOf,
  type SectionAuthority,
  type SectionProof,
} from '#protocol/section/index.ts';
import { eldersFor } from '#roles/light-client/elders.ts';
import { follow, openPins, pin, verifiedEpoch } from '#roles/light-client/pins.ts';
import { signersUnder } from '#roles/light-client/receipts.ts';
import {
  encodeClientRequest,
  encodeCover,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { openClientHost } from '../../e2e/support/client-host.ts';

export interface FollowingClient {
  /** Stores random bytes of this size under a name that begins with `bit`. */
  readonly put: (
    size: number,
    bit: 0 | 1,
  ) => Promise<{ readonly name: Uint8Array; readonly receipts: number }>;
  readonly get: (name: Uint8Array) => Promise<Uint8Array | null>;
  /** What it has verified: prefixes in words, and the newest epoch. */
  readonly map: () => { readonly prefixes: readonly string[]; readonly epoch: number };
  /** Refusals by whose proofs it has changed its map. */
  readonly led: () => readonly ('redirect' | 'retry')[];
  readonly stop: () => Promise<void>;
}

type Answer = Exclude<ClientReply, { readonly kind: 'refused' }>;

/** @param bootstrapTcp multiaddr of a node's own TCP port; it is asked once, at the start. */
export async function connectFollowing(
  url: string,
  bootstrapTcp: string,
): Promise<FollowingClient> {
  const host = await openClientHost(url, bootstrapTcp);
  const { anchor, addresses, exchange, takeRecords } = host;
  let pins = openPins(anchor);
  const led: ('redirect' | 'retry')[] = [];
  const believe = (proof: SectionProof): boolean => {
    const plan = follow(pins, proof);
    if (plan.kind !== 'verify') return plan.kind === 'same';
    const verified = performVerifyUpdate(blsSuite, plan.job);
    if (!verified.ok) return false;
    ({ pins } = pin(pins, verified.value));
    return pins.fork === null;
  };
  const authorityFor = (name: Uint8Array): SectionAuthority => {
    const authority = sectionFor(pins.tree, name) ?? closestSection(pins.tree, name);
    if (authority === undefined) throw new Error('no section is known');
    return authority;
  };
  const keyFor = (name: Uint8Array): Uint8Array =>
    newestKey(pins.tree, authorityFor(name).key, name);

  /** Pages of links from what is known until one ends at an authority. */
  const catchUp = async (peer: Uint8Array, name: Uint8Array): Promise<void> => {
    for (let page = 0; page < maxPages; page++) {
      const from = keyFor(name);
      const reply = await exchange(peer, encodeCover({ kind: 'section', name, from }));
      if (reply.kind !== 'proof') return;
      takeRecords(reply.records);
      const proof = decodeProof(reply.proof);
      if (!proof.ok || !believe(proof.value) || proof.value.authority !== null) return;
      if (equalBytes(keyFor(name), from)) return;
    }
  };

  /** N30: takes in what a refusal proves; true when another key answers for the name now. */
  const heed = async (
    peer: Uint8Array,
    refusal: Refusal,
    name: Uint8Array,
    used: Uint8Array,
  ): Promise<boolean> => {
    if (refusal.kind !== 'retry' && refusal.kind !== 'redirect') return false;
    const proof = decodeProof(refusal.proof);
    if (!proof.ok || !believe(proof.value) || equalBytes(keyFor(name), used)) return false;
    led.push(refusal.kind);
    const { key, elders } = authorityFor(name);
    const isReached = elders.every((each) => addresses.has(nameToId(each.name)));
    if (!equalBytes(key, keyFor(name)) || !isReached) await catchUp(peer, name);
    return true;
  };

  const askFor = async (
    name: Uint8Array,
    first: Uint8Array,
    request: ClientRequest,
  ): Promise<Answer> => {
    let peer = first;
    for (let hop = 0; ; hop++) {
      const key = keyFor(name);
      const { generation } = authorityFor(name);
      const inside = encodeClientRequest(request);
      const bytes = encodeCover({ kind: 'under', key, generation, request: inside });
      const reply = await exchange(peer, bytes);
      if (reply.kind !== 'refused') return reply;
      const isLed = hop < maxHops && (await heed(peer, reply.refusal, name, key));
      if (!isLed) throw new Error(`refused: ${reply.refusal.kind}`);
      const { elders } = authorityFor(name);
      const same = elders.find((each) => equalBytes(each.name, peer));
      peer = same?.name ?? eldersFor(elders, name)[0]?.name ?? peer;
    }
  };

  /** The closest elder, then the next one: each may be gone since the map was drawn. */
  const askAny = async <T>(
    name: Uint8Array,
    request: ClientRequest,
    take: (answer: Answer, peer: Uint8Array) => Promise<T | undefined>,
  ): Promise<T> => {
    const failed: string[] = [];
    for (const { name: peer } of eldersFor(authorityFor(name).elders, name)) {
      try {
        const taken = await take(await askFor(name, peer, request), peer);
        if (taken !== undefined) return taken;
      } catch (error) {
        failed.push(String(error));
      }
    }
    throw new Error(`nobody could: ${failed.join('; ')}`);
  };

  /** Genuine receipts of adults of the section as it stands when the answer is here. */
  const genuine = async (
    peer: Uint8Array,
    name: Uint8Array,
    { stamp, receipts }: Extract<Answer, { kind: 'stored' }>,
  ): Promise<number> => {
    for (let look = 0; look < 2; look++) {
      const authority = authorityFor(name);
      const asked = { ...stampOf(authority), generation: 0n };
      const signers = signersUnder(authority, asked, stamp);
      if (signers.kind === 'known') {
        const allowed = (holder: Uint8Array): boolean => signers.signers.has(nameToId(holder));
        return countReceipts(anchor.networkId, stamp, storedChunk(name), receipts, allowed).length;
      }
      await catchUp(peer, name);
    }
    return 0;
  };

  const signed = decodeSignedAuthority(await host.begin());
  if (!signed.ok || !believe(proofOf(signed.value))) throw new Error('the authority is refused');

  return {
    put: async (size, bit) => {
      const { name, bytes } = chunkUnder(size, bit);
      const receipts = await askAny(
        name,
        { kind: 'putChunk', name, bytes },
        async (answer, peer) =>
          answer.kind === 'stored' ? genuine(peer, name, answer) : undefined,
      );
      return { name, receipts };
    },
    get: (name) =>
      askAny(name, { kind: 'getChunk', name, avoid: [] }, async (answer) =>
        answer.kind === 'chunk' && equalBytes(sha256Of(answer.bytes), name)
          ? answer.bytes
          : undefined,
      ).catch(() => null),
    map: () => ({
      prefixes: sectionsOf(pins.tree).map(({ prefix }) => showPrefix(prefix)),
      epoch: Number(verifiedEpoch(pins)),
    }),
    led: () => led,
    stop: host.stop,
  };
}

const sha256Of = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest());

/** Half of all names begin with a given bit. */
function chunkUnder(
  size: number,
  bit: 0 | 1,
): { readonly name: Uint8Array; readonly bytes: Uint8Array } {
  for (;;) {
    const bytes = new Uint8Array(randomBytes(size));
    const name = sha256Of(bytes);
    if ((name[0] ?? 0) >> 7 === bit) return { name, bytes };
  }
}
