/**
 * N42: an elder stores no data itself, so it asks the holders of items it has seen written to hash
 * them with one fresh nonce, and fetches the chunk only when they disagree.
 */
import { randomBytes } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { evictOldest } from '#core/bounded-collections.ts';
import { fromHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { checkStateRef, type StateRef } from '#data/storage-receipt.ts';
import {
  auditVerdict,
  challengeOf,
  confirmationBytes,
  encodeReplicationMessage,
  holdersOf,
  itemId,
  settleAudit,
  stateRefOf,
  startAudit,
  withProof,
  type Audit,
  type Item,
  type ItemId,
  type ReplicationFault,
  type ReplicationMessage,
} from '#protocol/replication/index.ts';
import type { SectionAuthority } from '#protocol/section/index.ts';
import { decodeNodeReply, encodeNodeRequest } from '#roles/wire/node-requests.ts';
import { copyRequest } from './copy-request.ts';
import { isSignedBy } from '../keys/native-ed25519.ts';
import type { RequestPeer } from '../peers/node-links.ts';

export interface AuditorOptions {
  readonly networkId: Uint8Array;
  /** The elder's own name. */
  readonly name: Uint8Array;
  /** Null while this node is not an elder. */
  readonly section: () => SectionAuthority | null;
  readonly full: () => ReadonlySet<NodeId>;
  readonly send: (to: NodeId, message: Uint8Array, kind: string) => void;
  readonly request: RequestPeer;
  readonly repair: (holder: Uint8Array, item: Item) => void;
  /** The holder sent false bytes, a false proof or a false signature. */
  readonly blamed: (kind: ReplicationFault['kind'], culprit: NodeId) => void;
  /** The holder lacks an item it must hold, or did not answer while others did. */
  readonly onMissed?: (culprit: NodeId) => void;
  readonly onVerdict?: (kind: 'agreed' | 'disputed' | 'unanswered') => void;
  readonly everyMs?: number;
  /** After this, a holder that has not answered counts as unresponsive. */
  readonly answerTimeoutMs?: number;
}

export interface Auditor {
  /** A write of this item was acknowledged: it may be audited from now on. */
  readonly addStored: (item: Item) => void;
  /** Receives every replication message; only answers to our own challenges matter. */
  readonly onMessage: (from: NodeId, message: ReplicationMessage) => void;
  readonly stop: () => void;
}

/** Items remembered for audits; the oldest is evicted. */
const maxAuditable = 4_096;

interface RunningAudit {
  readonly audit: Audit;
  readonly stateRef: StateRef;
}

export function createAuditor(options: AuditorOptions): Auditor {
  const { everyMs = 30_000, answerTimeoutMs = 8_000 } = options;
  const auditable = new Map<ItemId, Item>();
  let running: RunningAudit | null = null;
  let timeout: ReturnType<typeof setTimeout> | undefined;

  const startRound = (): void => {
    const section = options.section();
    const item = [...auditable.values()][
      randomBytes(4).readUInt32BE() % Math.max(1, auditable.size)
    ];
    if (section === null || item === undefined || running !== null) return;
    const holders = holdersOf(section, item.name, options.full()).map(({ id }) => id);
    const audit = startAudit(item, holders, new Uint8Array(randomBytes(32)));
    running = { audit, stateRef: stateRefOf(section) };
    sendChallenges(options, running);
    timeout = setTimeout(() => void finishRound(), answerTimeoutMs);
    timeout.unref();
  };

  const finishRound = async (): Promise<void> => {
    const ended = running;
    running = null;
    const section = options.section();
    // Asked under a state that is no longer current: a holder may rightly lack the item by now.
    if (ended === null || section?.generation !== ended.stateRef.generation) return;
    await actOnVerdict(options, ended);
  };

  const timer = setInterval(startRound, everyMs);
  timer.unref();

  return {
    addStored: (item) => {
      // Records of one version may differ: only chunks have one correct hash.
      if (item.kind !== 'chunk') return;
      auditable.set(itemId(item), item);
      evictOldest(auditable, maxAuditable);
    },
    onMessage: (from, message) => {
      if (running === null) return;
      running = { ...running, audit: withAnswer(options, running, from, message) };
    },
    stop: () => {
      clearInterval(timer);
      clearTimeout(timeout);
    },
  };
}

function sendChallenges({ send }: AuditorOptions, { audit, stateRef }: RunningAudit): void {
  const { item, nonce, holders } = audit;
  const challenges = [{ item, nonce }];
  const message = { kind: 'confirm', stateRef, offered: false, challenges } as const;
  const encoded = encodeReplicationMessage(message);
  for (const holder of holders) send(holder, encoded, 'data/audit');
}

/** Only answers to our own challenge count. */
function withAnswer(
  { networkId, name: self, blamed }: AuditorOptions,
  { audit, stateRef }: RunningAudit,
  from: NodeId,
  message: ReplicationMessage,
): Audit {
  if (message.kind !== 'confirmed' && message.kind !== 'missing') return audit;
  if (nameToId(message.nonce) !== nameToId(audit.nonce)) return audit;
  if (checkStateRef(stateRef, message.stateRef) !== 'same') return audit;
  if (message.kind === 'missing') return message.holder ? withProof(audit, from, null) : audit;
  const { item, proof, signature } = message;
  const holder = fromHex(from);
  if (!holder.ok) return audit;
  const challenge = challengeOf(networkId, self, audit.nonce);
  const signed = confirmationBytes(networkId, stateRef, holder.value, item, challenge, proof);
  if (itemId(item) !== itemId(audit.item) || !isSignedBy(holder.value, signed, signature)) {
    blamed('wrongSignature', from);
    return audit;
  }
  return withProof(audit, from, proof);
}

async function actOnVerdict(
  options: AuditorOptions,
  { audit, stateRef }: RunningAudit,
): Promise<void> {
  const { networkId, name: self } = options;
  const verdict = auditVerdict(audit);
  options.onVerdict?.(verdict.kind);
  for (const [id, proof] of audit.proofs) {
    const holder = fromHex(id);
    if (proof === null && holder.ok) options.repair(holder.value, audit.item);
  }
  if (verdict.kind === 'agreed') {
    for (const id of [...verdict.unresponsive, ...verdict.missing]) options.onMissed?.(id);
  }
  if (verdict.kind !== 'disputed') return;
  for (const id of verdict.from) {
    const bytes = await pull(options, id, audit.item, stateRef);
    if (bytes === null) continue;
    const culprits = settleAudit(networkId, self, audit, bytes);
    if (culprits === undefined) options.blamed('wrongBytes', id);
    else return culprits.forEach((culprit) => options.blamed('wrongProof', culprit));
  }
}

async function pull(
  { request }: AuditorOptions,
  id: NodeId,
  item: Item,
  stateRef: StateRef,
): Promise<Uint8Array | null> {
  const holder = fromHex(id);
  if (!holder.ok) return null;
  const answer = await request(holder.value, encodeNodeRequest(copyRequest(item, stateRef)));
  const reply = answer.ok ? decodeNodeReply(answer.value) : undefined;
  return reply?.ok === true && reply.value.kind === 'chunk' ? reply.value.bytes : null;
}
