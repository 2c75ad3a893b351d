/**
 * The light node: one per network file, started by the first call that needs it, and again after every
 * restart of the worker. It trusts only the genesis key.
 */
import { nameToId } from '#address/xor-name.ts';
import type {
  NetworkView,
  Transport,
  TransportPreference,
  StallView,
} from '#bridge/worker-messages.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { createLightHost, type LightHost } from '#network/light-host.ts';
import { isPrivateHost } from '#network/address-checks.ts';
import { networkTag } from '#network/protocols.ts';
import { hostOf } from '#network/transport-order.ts';
import { rtcDisableFrom } from '#network/rtc/budget.ts';
import { hasRtcHost, rtcOpen, rtcUsed } from '#network/rtc/worker-proxy.ts';
import type { PaymentSections } from '#safe/payment/index.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import type { SectionProof } from '#protocol/section/index.ts';
import { CallError, unreachable } from '../http/http-responses.ts';
import {
  createElderRequests,
  type ElderRequestError,
  type ElderRequests,
} from './elder-requests.ts';
import { anchorOf, type NetworkFile } from '#roles/wire/network-file.ts';
import { workerStore } from '#storage/browser/worker-store.ts';
import { rtcReady } from '../rtc-host-port.ts';
import { createBootstrapQueries } from './bootstrap-queries.ts';
import {
  openKnownSections,
  type Elder,
  type KnownSections,
  type Section,
} from './known-sections.ts';
import { verifiedView } from './network-view.ts';
import { checkpointsFor } from '../checkpoints.ts';
import { instanceId } from '../instance.ts';
import { createElderHealthTracker, type ElderHealthTracker } from './elder-health-tracker.ts';
import { createSectionLoader, type SectionLoader } from './section-loader.ts';
import { createUpdateCheck } from './section-poll.ts';

export type { ElderRequestError, Elder, Section };

export interface LightNode {
  readonly file: NetworkFile;
  /**
   * The verified section responsible for this name, or by default any elder's; waits for the network,
   * throws {@link CallError} when it is unreachable.
   */
  readonly section: (name?: Uint8Array) => Promise<Section>;
  readonly ask: ElderRequests['ask'];
  readonly requestFor: ElderRequests['requestFor'];
  /** Asks an elder for the newest state of the section of a name, and adds the proven part. */
  readonly catchUp: (
    elder: Pick<Elder, 'name'>,
    name: Uint8Array,
    timeoutMs: number,
  ) => Promise<void>;
  /** A page is watching: asks one elder for changes, at most every few seconds. */
  readonly checkForUpdates: () => Promise<void>;
  /** Why the section of a name cannot decide, as far as this device can see (N29). */
  readonly stall: (name: Uint8Array) => StallView | null;
  /** The current money keys with their elders, and the superseded ones. */
  readonly paymentSections: () => PaymentSections;
  /** Called whenever a new section was verified; returns "stop". */
  readonly onSectionsChanged: (listener: () => void) => () => void;
  /** The chain page and authority that lead from a key to the section of a name, encoded. */
  readonly proof: (name: Uint8Array, from: Uint8Array) => Promise<Uint8Array>;
  readonly view: () => Omit<NetworkView, 'offlineReady' | 'preference'>;
  readonly reconnectByPreference: () => void;
  readonly stop: () => Promise<void>;
}

/** The host that served the app. */
const ownHost = (globalThis as { location?: { hostname: string } }).location?.hostname ?? '';

export async function startLightNode(
  file: NetworkFile,
  preference: () => TransportPreference,
  onChange: () => void,
): Promise<LightNode> {
  const anchor = anchorOf(file);
  if (anchor === undefined) throw inconsistentFile();
  const checkpoints = checkpointsFor(file.networkId);
  const host: LightHost = await createLightHost({
    bootstrap: file.bootstrap,
    tag: networkTag(anchor.networkId),
    isPrivate: [ownHost, ...file.bootstrap.map(hostOf)].some(isPrivateHost),
    preference,
    rtcReady,
    lastTransports: await workerStore.transports(),
    onChange,
  });
  const listeners = new Set<() => void>();
  const known = openKnownSections(anchor, workerStore, () => {
    elderHealth.sectionsChanged();
    onChange();
    for (const listener of listeners) listener();
  });
  const elderHealth = createElderHealthTracker(known, file.bootstrap.length, onChange);
  const loader: SectionLoader = createSectionLoader({
    known,
    bootstrap: createBootstrapQueries(host, file.bootstrap.length, elderHealth),
    checkpoints,
    home: anchor.genesisKey.slice(0, 32),
    syncChain: (...query) => requests.syncChain(...query),
    onChange,
  });
  const { loaded, refresh } = loader;
  const requests = createElderRequests({
    host,
    known,
    elderHealth,
    preference,
    loaded,
    refresh,
    rememberTransport: (elder) => {
      const { transport } = host.view(elder);
      if (transport !== null) saveTransport(nameToId(elder), transport);
    },
  });
  const { syncChain } = requests;
  return lightNodeOf({
    file,
    host,
    known,
    elderHealth,
    loader,
    requests,
    checkpoints,
    checkForUpdates: createUpdateCheck({ host, known, elderHealth, syncChain, refresh, onChange }),
    listeners,
  });
}

interface LightNodeParts extends Pick<LightNode, 'file' | 'checkForUpdates'> {
  readonly host: LightHost;
  readonly known: KnownSections;
  readonly elderHealth: ElderHealthTracker;
  readonly loader: SectionLoader;
  readonly requests: ElderRequests;
  readonly checkpoints: readonly SectionProof[];
  readonly listeners: Set<() => void>;
}

function lightNodeOf(parts: LightNodeParts): LightNode {
  const { file, host, known, elderHealth, loader, requests, checkpoints, listeners } = parts;
  return {
    file,
    section: async (name) => {
      if (known.current() === undefined) await loader.loaded();
      return known.current(name) ?? loader.loaded();
    },
    ask: requests.ask,
    requestFor: requests.requestFor,
    catchUp: async (elder, name, timeoutMs) =>
      void (await requests.syncChain(elder, name, timeoutMs)),
    checkForUpdates: parts.checkForUpdates,
    stall: (name) => {
      const section = known.current(name);
      return section === undefined ? null : elderHealth.stall(section);
    },
    paymentSections: () => paymentSectionsOfKnown(known),
    onSectionsChanged: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    proof: async (name, from) => {
      if (known.current() === undefined) await loader.loaded();
      const proof = known.proof(name, from);
      if (proof === undefined) throw unreachable('The network does not answer.');
      return encodeProof(proof);
    },
    view: () => ({
      instance: instanceId,
      network: { name: file.name, networkId: file.networkId },
      ...verifiedView(known, host.view, elderHealth.stall, loader.refusedBecause()),
      checkpointEpoch: newestEpoch(checkpoints),
      rtc: { used: rtcUsed(), open: rtcOpen(), limit: rtcDisableFrom, host: hasRtcHost() },
    }),
    reconnectByPreference: () => {
      elderHealth.reset();
      host.reconnectByPreference();
    },
    stop: host.stop,
  };
}

function paymentSectionsOfKnown(known: KnownSections): PaymentSections {
  const keys = known.money();
  const sections = known.sections();
  const eldersOf = (key: Uint8Array): readonly Elder[] =>
    sections.find(({ authority }) => equalBytes(authority.key, key))?.elders ?? [];
  return {
    ...keys,
    current: keys.current.map((each) => ({ ...each, elders: eldersOf(each.key) })),
  };
}

/** Null without checkpoints. */
const newestEpoch = (proofs: readonly SectionProof[]): number | null =>
  proofs.reduce<number | null>(
    (newest, { authority }) =>
      authority === null ? newest : Math.max(newest ?? 0, Number(authority.authority.epoch)),
    null,
  );

const savedTransports = new Map<string, Transport>();
function saveTransport(id: string, transport: Transport): void {
  if (savedTransports.get(id) === transport) return;
  savedTransports.set(id, transport);
  void workerStore.saveTransport(id, transport).catch(() => undefined);
}

const inconsistentFile = (): CallError =>
  new CallError(502, {
    kind: 'otherNetwork',
    message: 'The network file contradicts itself. Ask the operator of this address to repair it.',
  });
