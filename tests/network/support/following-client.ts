/**
 * A light client as a program that keeps one map throughout: it accepts only proofs that follow from the
 * genesis key, and learns splits and new keys from elders that refuse it. The browser's light node does
 * the requests, redirects, verification and counting of receipts.
 */
import { createHash, randomBytes } from 'node:crypto';
import { showPrefix } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  decodeSignedAuthority,
  sectionProofOf,
  type SectionProof,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { decodeClientReply } from '#roles/wire/client.ts';
import { createElderRequests } from '../../../src/service-worker/light-node/elder-requests.ts';
import { getChunk, putChunk, type DataNode } from '../../../src/service-worker/data-client.ts';
import {
  openKnownSections,
  type Section,
} from '../../../src/service-worker/light-node/known-sections.ts';
import { openClientHost, type AskAt, type FirstAnswers } from '../../e2e/support/client-host.ts';

export interface FollowingClient {
  /** Stores random bytes of this size under a name that begins with `bit`. */
  readonly put: (
    size: number,
    bit: 0 | 1,
  ) => Promise<{ readonly name: Uint8Array; readonly receipts: number }>;
  readonly get: (name: Uint8Array) => Promise<Uint8Array | null>;
  /** Its verified map: prefixes as text, and the newest epoch. */
  readonly map: () => { readonly prefixes: readonly string[]; readonly epoch: number };
  /** Refusals whose proofs changed its map. */
  readonly redirects: () => readonly ('redirect' | 'retry')[];
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

/** @param hints from any node, before all else; only proofs are accepted. */
export async function beginFollowing(
  anchor: TrustAnchor,
  hints: FirstAnswers,
  askAt: AskAt,
): Promise<Omit<FollowingClient, 'stop'>> {
  const redirects: ('redirect' | 'retry')[] = [];
  /** By proof: the refusal that contained it. */
  const proofFrom = new Map<string, 'redirect' | 'retry'>();
  const known = openKnownSections(anchor, nowhere, () => undefined);
  const verifyAndStore = async (proof: SectionProof): Promise<boolean> => {
    const before = known.tree();
    const holds = await known.verifyAndStore(proof);
    const refusal = proofFrom.get(toHex(encodeProof(proof)));
    if (refusal !== undefined && known.tree() !== before) redirects.push(refusal);
    return holds;
  };
  const section = async (name?: Uint8Array): Promise<Section> => {
    const found = known.current(name);
    if (found === undefined) throw new Error('no section is known');
    return found;
  };
  const asking = createElderRequests({
    host: {
      ask: async (elder, request, patience) => {
        const timeoutMs = typeof patience === 'number' ? patience : patience.totalMs;
        const answer = await askAt(elder, request, timeoutMs);
        const reply = answer.ok ? decodeClientReply(answer.value) : undefined;
        if (reply?.ok === true && reply.value.kind === 'refused') {
          const { refusal } = reply.value;
          if (refusal.kind === 'retry' || refusal.kind === 'redirect') {
            proofFrom.set(toHex(refusal.proof), refusal.kind);
          }
        }
        return answer;
      },
      isBackingOff: () => false,
    },
    known: { ...known, verifyAndStore },
    elderHealth: { record: () => undefined },
    preference: () => 'automatic',
    loaded: section,
    // No node is asked for the elders: this client learns them from elders that refuse it.
    refresh: async () => undefined,
    rememberTransport: () => undefined,
  });
  const node: DataNode = {
    section,
    requestFor: asking.requestFor,
    catchUp: async (elder, name, timeoutMs) =>
      void (await asking.syncChain(elder, name, timeoutMs)),
    stall: () => null,
  };

  known.addRecords(hints.records);
  const signed = decodeSignedAuthority(hints.authority);
  if (!signed.ok || !(await known.verifyAndStore(sectionProofOf(signed.value)))) {
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
    redirects: () => redirects,
  };
}

/** In memory: lost with its program. */
const nowhere = { pins: async () => undefined, savePins: async () => undefined };

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
