/**
 * Keeps the {@link ElderHealth} of the light node: records calls, selects elders to recheck, drops former
 * elders.
 */
import { nameToId } from '#address/xor-name.ts';
import type { ElderView, TransportPreference, StallView } from '#bridge/worker-messages.ts';
import { isCongested, type RpcError } from '#network/rpc/rpc-stream.ts';
import {
  isResponsive,
  retainPeers,
  recordCall,
  emptyHealth,
  stallStatus,
  type ElderHealth,
} from './elder-health.ts';
import type { Elder, KnownSections, Section } from './known-sections.ts';

export interface ElderHealthTracker {
  readonly record: (elder: Uint8Array, responded: boolean) => void;
  readonly recordBootstrap: (index: number, responded: boolean) => void;
  readonly stall: (section: Section) => StallView | null;
  /** Elders to recheck while a page watches: an unresponsive one may be back. */
  readonly toRecheck: (state: (name: Uint8Array) => ElderView['state']) => readonly Elder[];
  /** The sections changed: former elders no longer count. */
  readonly sectionsChanged: () => void;
  /** The transports changed: failures of the previous ones no longer count. */
  readonly reset: () => void;
}

export function createElderHealthTracker(
  known: Pick<KnownSections, 'sections'>,
  bootstraps: number,
  onChange: () => void,
): ElderHealthTracker {
  let health: ElderHealth = emptyHealth;
  const recordPeer = (peer: string, responded: boolean): void => {
    health = recordCall(health, peer, responded);
    if ([...health.peers.values()].some(({ kind }) => kind === 'unresponsive')) onChange();
  };
  return {
    record: (elder, responded) => recordPeer(nameToId(elder), responded),
    recordBootstrap: (index, responded) => recordPeer(bootstrapId(index), responded),
    stall: (section) => stallStatus(health, section.authority.prefix, idsOf(section)),
    toRecheck: (state) =>
      known
        .sections()
        .flatMap(({ elders }) => elders)
        .filter(({ name }) => {
          const isAnswering = isResponsive(health, nameToId(name));
          return isAnswering === false || (isAnswering === true && state(name) !== 'connected');
        }),
    sectionsChanged: () => {
      const elders = known.sections().flatMap(idsOf);
      const asked = Array.from({ length: bootstraps }, (_, index) => bootstrapId(index));
      health = retainPeers(health, new Set([...elders, ...asked]));
    },
    reset: () => {
      health = emptyHealth;
    },
  };
}

/**
 * A transport that the person chose may fail while the elder is well, so its failure is no evidence;
 * neither is a late reply while our own bytes fill the link.
 */
export const countsAsUnresponsive = (error: RpcError, preference: TransportPreference): boolean =>
  !isCongested(error) &&
  (error.kind === 'timeout' || (error.kind === 'unreachable' && preference === 'automatic'));

const bootstrapId = (index: number): string => `bootstrap ${index}`;
const idsOf = ({ elders }: Section): readonly string[] => elders.map(({ name }) => nameToId(name));
