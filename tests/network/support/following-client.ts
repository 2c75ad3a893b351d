/**
 * A light client as a program that keeps one map for its whole life: it believes nothing but proofs
 * that follow from the genesis key, and learns of splits and new keys from those who refuse it. What
 * asks, follows, believes and counts receipts is the light node of the browser.
 */
import { createHash, randomBytes } from 'node:crypto';
import { showPrefix } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  decodeSignedAuthority,
  proofOf,
  type SectionProof,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { decodeClientReply } from '#roles/wire/client.ts';
import { createAsking } from '../../../src/service-worker/asking.ts';
import { getChunk, putChunk, type DataNode } from '../../../src/service-worker/data.ts';
import { openKnownSections, type Section } from '../../../src/service-worker/known-sections.ts';
import { openClientHost, type AskAt, type Told } from '../../e2e/support/client-host.ts';

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

/** @param bootstrapTcp multiaddr of a node's own TCP port; it is asked once, at the start. */
export async function connectFollowing(
  url: string,
  bootstrapTcp: string,
): Promise<FollowingClient> {
  const host = await openClientHost(url, bootstrapTcp);
  const client = await beginFollowing(host.anchor, await host.begin(), host.askAt);
  return { ...client, stop: host.stop };
}

/** @param told by any node, before all else; only proofs are believed. */
export async function beginFollowing(
  anchor: TrustAnchor,
  told: Told,
  askAt: AskAt,
): Promise<Omit<FollowingClient, 'stop'>> {
  const led: ('redirect' | 'retry')[] = [];
  /** By proof: which refusal showed it. */
  const shownBy = new Map<string, 'redirect' | 'retry'>();
  const known = openKnownSections(anchor, nowhere, () => undefined);
  const believe = async (proof: SectionProof): Promise<boolean> => {
    const before = known.tree();
    const holds = await known.believe(proof);
    const refusal = shownBy.get(toHex(encodeProof(proof)));
    if (refusal !== undefined && known.tree() !== before) led.push(refusal);
    return holds;
  };
  const section = async (name?: Uint8Array): Promise<Section> => {
    const found = known.current(name);
    if (found === undefined) throw new Error('no section is known');
    return found;
  };
  const asking = createAsking({
    host: {
      ask: async (elder, request, patience) => {
        const timeoutMs = typeof patience === 'number' ? patience : patience.totalMs;
        const answer = await askAt(elder, request, timeoutMs);
        const reply = answer.ok ? decodeClientReply(answer.value) : undefined;
        if (reply?.ok === true && reply.value.kind === 'refused') {
          const { refusal } = reply.value;
          if (refusal.kind === 'retry' || refusal.kind === 'redirect') {
            shownBy.set(toHex(refusal.proof), refusal.kind);
          }
        }
        return answer;
      },
      resting: () => false,
    },
    known: { ...known, believe },
    whoAnswers: { note: () => undefined },
    preference: () => 'automatic',
    loaded: section,
    // Nobody is asked who the elders are: this client learns it from those who refuse it.
    refresh: async () => undefined,
    rememberRoad: () => undefined,
  });
  const node: DataNode = {
    section,
    askFor: asking.askFor,
    catchUp: async (elder, name, timeoutMs) =>
      void (await asking.readPages(elder, name, timeoutMs)),
    stall: () => null,
  };

  known.takeRecords(told.records);
  const signed = decodeSignedAuthority(told.authority);
  if (!signed.ok || !(await known.believe(proofOf(signed.value)))) {
    throw new Error('the authority is refused');
  }

  return {
    put: async (size, bit) => {
      const { name, bytes } = chunkUnder(size, bit);
      return { name, receipts: await putChunk(node, bytes) };
    },
    get: (name) => getChunk(node, name).catch(() => null),
    map: () => ({
      prefixes: known.sections().map(({ authority }) => showPrefix(authority.prefix)),
      epoch: Number(known.epoch()),
    }),
    led: () => led,
  };
}

/** It lives as long as its program: nothing survives it. */
const nowhere = { pins: async () => undefined, keepPins: async () => undefined };

/** Half of all names begin with a given bit. */
function chunkUnder(
  size: number,
  bit: 0 | 1,
): { readonly name: Uint8Array; readonly bytes: Uint8Array } {
  for (;;) {
    const bytes = new Uint8Array(randomBytes(size));
    const name = new Uint8Array(createHash('sha256').update(bytes).digest());
    if ((name[0] ?? 0) >> 7 === bit) return { name, bytes };
  }
}
