/**
 * N42: an elder keeps nothing itself, so it asks the holders of what it has seen written to hash it
 * with one fresh nonce, and pulls the chunk only when they disagree.
 */
import { randomBytes } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { Result } from '#core/result.ts';
import { judgeStamp } from '#data/receipt.ts';
import {
  auditVerdict,
  challengeOf,
  confirmationBytes,
  encodeReplicationMessage,
  holdersOf,
  itemId,
  settleAudit,
  stampOf,
  startAudit,
  withProof,
  type Audit,
  type Item,
  type ItemId,
  type ReplicationMessage,
  type Stamp,
} from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { decodeNodeReply, encodeNodeRequest } from '#roles/wire/node.ts';
import { isSignedBy } from './native-ed25519.ts';

export interface AuditorOptions {
  readonly networkId: Uint8Array;
  /** The elder's own name. */
  readonly name: Uint8Array;
  /** Null while this node is no elder. */
  readonly section: () => SectionAuthority | null;
  readonly full: () => ReadonlySet<NodeId>;
  readonly send: (to: NodeId, message: Uint8Array, kind: string) => void;
  readonly request: (
    holder: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  readonly repair: (holder: Uint8Array, item: Item) => void;
  /** Gave false bytes, a false proof or a false signature. */
  readonly blamed: (kind: string, culprit: NodeId) => void;
  /** Lacks what it has to hold, or did not answer while others did. */
  readonly missed?: (culprit: NodeId) => void;
  readonly onVerdict?: (kind: 'agreed' | 'disputed' | 'unanswered') => void;
  readonly everyMs?: number;
  /** Then whoever has not answered counts as silent. */
  readonly patienceMs?: number;
}

export interface Auditor {
  /** A write of this item was acknowledged: it may be asked for from now on. */
  readonly noticed: (item: Item) => void;
  /** A replication message that came in; only answers to our own questions matter. */
  readonly heard: (from: NodeId, message: ReplicationMessage) => void;
  readonly stop: () => void;
}

/** Names remembered for later; the oldest gives way. */
const maxNoticed = 4_096;

export function createAuditor(options: AuditorOptions): Auditor {
  const { networkId, name: self, everyMs = 30_000, patienceMs = 8_000 } = options;
  const noticed = new Map<ItemId, Item>();
  let running: { audit: Audit; readonly stamp: Stamp } | null = null;
  let patience: ReturnType<typeof setTimeout> | undefined;

  const begin = (): void => {
    const section = options.section();
    const item = [...noticed.values()][randomBytes(4).readUInt32BE() % Math.max(1, noticed.size)];
    if (section === null || item === undefined || running !== null) return;
    const stamp = stampOf(section);
    const holders = holdersOf(section, item.name, options.full()).map(({ id }) => id);
    const nonce = new Uint8Array(randomBytes(32));
    running = { audit: startAudit(item, holders, nonce), stamp };
    const questions = [{ item, nonce }];
    const message = { kind: 'confirm', stamp, offered: false, questions } as const;
    const encoded = encodeReplicationMessage(message);
    for (const holder of holders) options.send(holder, encoded, 'data/audit');
    patience = setTimeout(() => void end(), patienceMs);
    patience.unref();
  };

  const end = async (): Promise<void> => {
    const ended = running;
    running = null;
    const section = options.section();
    // Asked under a state that is no longer: who lacked it may have had every right to.
    if (ended === null || section === null) return;
    const { audit, stamp } = ended;
    if (section.generation !== stamp.generation) return;
    const verdict = auditVerdict(audit);
    options.onVerdict?.(verdict.kind);
    for (const [id, proof] of audit.proofs) {
      const holder = fromHex(id);
      if (proof === null && holder.ok) options.repair(holder.value, audit.item);
    }
    if (verdict.kind === 'agreed') {
      for (const id of [...verdict.silent, ...verdict.lacking]) options.missed?.(id);
    }
    if (verdict.kind !== 'disputed') return;
    for (const id of verdict.from) {
      const bytes = await pull(id, audit.item, stamp);
      if (bytes === null) continue;
      const liars = settleAudit(networkId, self, audit, bytes);
      if (liars === undefined) options.blamed('wrongBytes', id);
      else {
        for (const liar of liars) options.blamed('wrongProof', liar);
        return;
      }
    }
  };

  const pull = async (id: NodeId, item: Item, stamp: Stamp): Promise<Uint8Array | null> => {
    const holder = fromHex(id);
    if (!holder.ok) return null;
    const request = encodeNodeRequest({ kind: 'fetchChunk', stamp, name: item.name });
    const answer = await options.request(holder.value, request);
    const reply = answer.ok ? decodeNodeReply(answer.value) : undefined;
    return reply?.ok === true && reply.value.kind === 'chunk' ? reply.value.bytes : null;
  };

  const timer = setInterval(begin, everyMs);
  timer.unref();

  return {
    noticed: (item) => {
      // Records of one version may differ: only chunks have one true hash.
      if (item.kind !== 'chunk') return;
      noticed.set(itemId(item), item);
      const [oldest] = noticed.keys();
      if (noticed.size > maxNoticed && oldest !== undefined) noticed.delete(oldest);
    },
    heard: (from, message) => {
      if (running === null) return;
      if (message.kind !== 'confirmed' && message.kind !== 'lacking') return;
      const { audit, stamp } = running;
      if (nameToId(message.nonce) !== nameToId(audit.nonce)) return;
      if (judgeStamp(stamp, message.stamp) !== 'same') return;
      if (message.kind === 'lacking') {
        if (message.holder) running.audit = withProof(audit, from, null);
        return;
      }
      const { proof, signature } = message;
      const holder = fromHex(from);
      const challenge = challengeOf(networkId, self, audit.nonce);
      if (!holder.ok) return;
      const { item } = message;
      const signed = confirmationBytes(networkId, stamp, holder.value, item, challenge, proof);
      if (itemId(item) !== itemId(audit.item) || !isSignedBy(holder.value, signed, signature)) {
        options.blamed('wrongSignature', from);
        return;
      }
      running.audit = withProof(audit, from, proof);
    },
    stop: () => {
      clearInterval(timer);
      clearTimeout(patience);
    },
  };
}
