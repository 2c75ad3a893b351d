/** The storage half of a node: its disk, the adult's service, replication and audits. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TrustAnchor } from '#protocol/section/index.ts';
import type { ReplicationFault } from '#protocol/replication/index.ts';
import { openChunks } from '#storage/node/chunks.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { createAdultService, type AdultOptions, type AdultService } from './adult-service.ts';
import { openHoldings } from './holdings.ts';
import type { Log } from '../monitoring/log.ts';
import { createSigner } from '../keys/native-ed25519.ts';
import { endOnMachineFailure } from '../machine-failure.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { NodeIdentity } from '../data-folder/node-identity.ts';
import { createAuditor, type Auditor, type AuditorOptions } from './replication-audit.ts';
import type { ReplicationServiceOptions } from './replication-machine.ts';
import { startReplication, type ReplicationService } from './replication-service.ts';
import type { SectionHandle, SectionCallbacks } from '../section/section-handle.ts';

export interface StorageRoleOptions {
  readonly identity: NodeIdentity;
  readonly anchor: TrustAnchor;
  readonly facts: FactStore;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Chunks beyond this are refused as "full". */
  readonly dataLimitBytes: number;
}

export interface StorageRole {
  readonly adult: AdultService;
  readonly replication: ReplicationService;
  readonly auditor: Auditor;
}

/** Every node has it, because an elder may become an adult again. */
export async function openStorageRole(
  options: StorageRoleOptions,
  callbacks: Pick<AdultOptions, 'isElder'> &
    Pick<AuditorOptions, 'send' | 'request' | 'section'> &
    Required<Pick<ReplicationServiceOptions, 'behind'>> &
    Pick<SectionHandle, 'misbehaved'> &
    Pick<SectionCallbacks, 'blamed'>,
): Promise<StorageRole> {
  const { identity, anchor, facts, log, metrics } = options;
  const { label, name, seed } = identity;
  const { networkId } = anchor;
  const folder = join(identity.folder, 'chunks');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const holdings = openHoldings({
    folder,
    openChunks: (limitBytes) => openChunks(folder, limitBytes),
    facts,
    limitBytes: options.dataLimitBytes,
  });
  const { send, request, section, isElder, behind, misbehaved } = callbacks;
  const blamed = (kind: ReplicationFault['kind'], culprit: string): void => {
    callbacks.blamed(kind, culprit);
    misbehaved(culprit, kind === 'missingCopy' ? 'missingCopy' : 'provable');
  };
  const replication: ReplicationService = await startReplication({
    ...{ label, networkId, name, identitySeed: seed, holdings, facts, log, metrics },
    ...{ send, request, behind, blamed },
    onMessage: (from, message) => auditor.onMessage(from, message),
    failed: (error) => endOnMachineFailure(log, label, error),
  });
  const auditor = createAuditor({
    ...{ networkId, name, send, request, section, blamed },
    full: replication.full,
    repair: replication.repair,
    onMissed: (culprit) => misbehaved(culprit, 'missingCopy'),
    onVerdict: (kind) => metrics.count('safe_data_audits_total', kind),
  });
  metrics.gauge('safe_data_bytes', holdings.usedBytes);
  metrics.gauge('safe_data_items', () => replication.backlog().held);
  metrics.gauge('safe_data_missing', () => replication.backlog().missing);
  metrics.gauge('safe_data_handoffs', () => replication.backlog().handoffs);
  metrics.gauge('safe_data_full_members', () => replication.full().size);
  const adult = createAdultService({
    ...{ label, networkId, holdings, replication, log, metrics },
    sign: createSigner(seed),
    isElder,
  });
  return { adult, replication, auditor };
}
