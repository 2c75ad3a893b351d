/** The storing half of a node: its disk, the adult that answers for it, replication and audits. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TrustAnchor } from '#protocol/section/index.ts';
import { openChunks } from '#storage/node/chunks.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { createAdultService, type AdultOptions, type AdultService } from './adult-service.ts';
import { openHoldings } from './holdings.ts';
import type { Log } from './log.ts';
import { createSigner } from './native-ed25519.ts';
import type { Metrics } from './metrics.ts';
import type { NodeIdentity } from './node-folder.ts';
import { createAuditor, type Auditor, type AuditorOptions } from './replication-audit.ts';
import {
  startReplication,
  type ReplicationService,
  type ReplicationServiceOptions,
} from './replication-service.ts';
import type { SectionPort, SectionPorts } from './section-port.ts';

export interface StoringOptions {
  readonly identity: NodeIdentity;
  readonly anchor: TrustAnchor;
  readonly facts: FactStore;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Chunks beyond this are refused as "full". */
  readonly dataLimitBytes: number;
}

/** Always there, because a node that becomes elder may go back. */
export async function openStoring(
  options: StoringOptions,
  around: Pick<AdultOptions, 'isElder'> &
    Pick<AuditorOptions, 'send' | 'request' | 'section'> &
    Required<Pick<ReplicationServiceOptions, 'behind'>> &
    Pick<SectionPort, 'misbehaved'> &
    Pick<SectionPorts, 'blamed'>,
): Promise<{
  readonly adult: AdultService;
  readonly replication: ReplicationService;
  readonly auditor: Auditor;
}> {
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
  const { send, request, section, isElder, behind, misbehaved } = around;
  const blamed = (kind: string, culprit: string): void => {
    around.blamed(kind, culprit);
    misbehaved(culprit, kind === 'emptyPromise' ? 'data' : 'falsehood');
  };
  const replication: ReplicationService = await startReplication({
    ...{ label, networkId, name, identitySeed: seed, holdings, facts, log, metrics },
    ...{ send, request, behind, blamed },
    overheard: (from, message) => auditor.heard(from, message),
    failed: (error) => {
      log.write({ event: 'machineFailed', node: label, error: String(error) });
      setImmediate(() => {
        throw error;
      });
    },
  });
  const auditor = createAuditor({
    ...{ networkId, name, send, request, section, blamed },
    full: replication.full,
    repair: replication.repair,
    missed: (culprit) => misbehaved(culprit, 'data'),
    onVerdict: (kind) => metrics.count('safe_data_audits_total', kind),
  });
  metrics.gauge('safe_data_bytes', holdings.usedBytes);
  metrics.gauge('safe_data_items', () => replication.backlog().held);
  metrics.gauge('safe_data_wanted', () => replication.backlog().wanted);
  metrics.gauge('safe_data_handing', () => replication.backlog().handing);
  metrics.gauge('safe_data_full_members', () => replication.full().size);
  const adult = createAdultService({
    ...{ label, networkId, holdings, replication, log, metrics },
    sign: createSigner(seed),
    isElder,
  });
  return { adult, replication, auditor };
}
