/**
 * The light node: one per network file, started by the first call that needs it and made anew
 * after every death of the worker. It trusts nothing but the genesis key.
 */
import { nameToId } from '#address/xor-name.ts';
import type { NetworkView, Road, RoadPreference, StallView } from '#bridge/worker.ts';
import { equalBytes, fromHex } from '#core/codec/bytes.ts';
import { createLightHost, type LightHost } from '#network/light-host.ts';
import { isPrivateHost } from '#network/dial.ts';
import { networkTag } from '#network/protocols.ts';
import { hostOf } from '#network/roads.ts';
import { isCongested } from '#network/rpc.ts';
import { rtcOffFrom } from '#network/rtc/budget.ts';
import { hasRtcHost, rtcOpen, rtcUsed } from '#network/rtc/stand-in.ts';
import type { PaymentSections } from '#safe/payment/index.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  decodeSignedAuthority,
  networkIdOf,
  proofOf,
  type SectionProof,
} from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest, type ClientReply } from '#roles/wire/client.ts';
import { CallError, unreachable } from './answers.ts';
import { createAsking, type AskError, type Asking } from './asking.ts';
import { memory, type NetworkFile } from './memory.ts';
import { rtcReady } from './rtc.ts';
import { openKnownSections, type Elder, type Section } from './known-sections.ts';
import { verifiedView } from './network-view.ts';
import { checkpointsFor } from './checkpoints.ts';
import { instanceId } from './instance.ts';
import { watchWhoAnswers } from './who-answers.ts';

export type { AskError, Elder, Section };

export interface LightNode {
  readonly file: NetworkFile;
  /**
   * The verified section that answers for this name, or without one that of any elder; waits for
   * the network, throws {@link CallError} when it is away.
   */
  readonly section: (name?: Uint8Array) => Promise<Section>;
  readonly ask: Asking['ask'];
  readonly askFor: Asking['askFor'];
  /** Asks an elder for the newest state of the section of a name, and believes what it proves. */
  readonly catchUp: (
    elder: Pick<Elder, 'name'>,
    name: Uint8Array,
    timeoutMs: number,
  ) => Promise<void>;
  /** Somebody is watching: asks one elder whether anything has changed, at most every few seconds. */
  readonly look: () => Promise<void>;
  /** Why the section of a name cannot decide, as far as this device can tell (N29). */
  readonly stall: (name: Uint8Array) => StallView | null;
  /** Who signs payments now, with their elders, and who did before. */
  readonly paymentSections: () => PaymentSections;
  /** Called whenever a section was verified that was not known; returns "stop". */
  readonly onNews: (heard: () => void) => () => void;
  /** The page of links and the authority that lead from a key to the section of a name, encoded. */
  readonly proof: (name: Uint8Array, from: Uint8Array) => Promise<Uint8Array>;
  readonly view: () => Omit<NetworkView, 'offlineReady' | 'preference'>;
  readonly reconsider: () => void;
  readonly stop: () => Promise<void>;
}

const askBootstrapMs = 6_000;
const lookEveryMs = 2_500;
const lookTimeoutMs = 5_000;
/** N33: the first start believes nobody alone. */
const bootstrapsCompared = 2;
const eldersTried = 3;

/** Where the app came from. */
const ownHost = (globalThis as { location?: { hostname: string } }).location?.hostname ?? '';

export async function startLightNode(
  file: NetworkFile,
  preference: () => RoadPreference,
  onChange: () => void,
): Promise<LightNode> {
  const networkId = bytesOf(file.networkId);
  const genesisKey = bytesOf(file.genesisKey);
  if (!equalBytes(networkIdOf(genesisKey, file.name), networkId)) {
    throw new CallError(502, {
      kind: 'otherNetwork',
      message: 'The network file contradicts itself. Ask whoever runs this address to repair it.',
    });
  }
  const checkpoints = checkpointsFor(file.networkId);
  const host: LightHost = await createLightHost({
    bootstrap: file.bootstrap,
    tag: networkTag(networkId),
    isPrivate: [ownHost, ...file.bootstrap.map(hostOf)].some(isPrivateHost),
    preference,
    rtcReady,
    lastRoads: await memory.roads(),
    onChange,
  });
  const listeners = new Set<() => void>();
  const known = openKnownSections({ genesisKey, networkId }, memory, () => {
    whoAnswers.sectionsChanged();
    onChange();
    for (const heard of listeners) heard();
  });
  const { believe, current } = known;
  const whoAnswers = watchWhoAnswers(known, file.bootstrap.length, onChange);
  /** Before anybody asks for a name: the section of this one. */
  const home = genesisKey.slice(0, 32);
  let loading: Promise<Section> | undefined;
  let refusedBecause: string | undefined;

  let firstAsked = 0;
  /**
   * Asks bootstrap nodes one after the other, each time another one first, until so many have given an
   * answer that counts: of the kind asked for, and believed. None of them decides alone.
   */
  const askBootstrap = async <Kind extends 'authority' | 'addresses'>(
    kind: Kind,
    wanted: number,
    counts: (reply: Extract<ClientReply, { kind: Kind }>) => Promise<boolean>,
  ): Promise<void> => {
    const first = firstAsked;
    let counted = 0;
    for (let tried = 0; tried < file.bootstrap.length && counted < wanted; tried++) {
      const index = (first + tried) % file.bootstrap.length;
      const reply = await host.askBootstrap(index, encodeClientRequest({ kind }), askBootstrapMs);
      if (reply.ok || !isCongested(reply.error)) whoAnswers.noteBootstrap(index, reply.ok);
      const decoded = reply.ok ? decodeClientReply(reply.value) : undefined;
      if (decoded?.ok !== true || decoded.value.kind !== kind) continue;
      if (await counts(decoded.value as Extract<ClientReply, { kind: Kind }>)) counted += 1;
    }
  };

  /** Can all elders of all sections be dialled, as far as addresses go? */
  const isReachable = (): boolean =>
    known.sections().every(({ elders }) => elders.every(({ addresses }) => addresses.length > 0));

  let nextReader = 0;
  const fetchSection = async (): Promise<Section | undefined> => {
    const isFirst = current() === undefined || known.recorded().length === 0;
    const wanted = isFirst ? bootstrapsCompared : 1;
    const told: (readonly Uint8Array[])[] = [];
    let [heard, refused] = [false, false];
    await Promise.all([
      askBootstrap('authority', wanted, async (reply) => {
        const signed = decodeSignedAuthority(reply.authority);
        const fits = signed.ok && (await believe(proofOf(signed.value)));
        heard = true;
        refused ||= !fits;
        return fits;
      }),
      askBootstrap('addresses', isReachable() ? wanted : bootstrapsCompared, async (reply) => {
        told.push(reply.records);
        return reply.records.length > 0;
      }),
    ]);
    firstAsked += 1;
    // One record of each in turn, so that none of them alone chooses who is read from.
    const longest = Math.max(0, ...told.map(({ length }) => length));
    for (let at = 0; at < longest; at++) {
      known.takeRecords(told.flatMap((each) => each.slice(at, at + 1)));
    }
    // A chain longer than a page: the elders, whose addresses are signed by themselves, have the rest.
    const isBehind = current() === undefined || refused;
    const names = isBehind ? known.recorded() : [];
    let read = 0;
    for (let tried = 0; tried < Math.min(eldersTried, names.length) && read < wanted; tried++) {
      const name = names[nextReader++ % names.length];
      if (name !== undefined && (await readPages({ name }, home, askBootstrapMs))) read += 1;
    }
    const section = current();
    refusedBecause = refused && section === undefined ? wrongAuthority : undefined;
    if (section !== undefined) await known.keep();
    onChange();
    // What shipped with the app alone says nothing about where its elders are today.
    return heard || known.recorded().length > 0 ? section : undefined;
  };

  /** N33: before anybody is asked, and again with each new version of the app. */
  const pinCheckpoints = async (): Promise<void> => {
    for (const proof of checkpoints) {
      if ((await believe(proof)) || known.fork() !== null) continue;
      throw new CallError(502, { kind: 'otherNetwork', message: wrongCheckpoint });
    }
  };

  const load = async (): Promise<Section> => {
    const isKnown = (await known.recall()) && known.recorded().length > 0;
    await pinCheckpoints();
    if (isKnown) {
      // Addresses may have moved, and elders may have changed while we were away.
      void refresh();
      const section = current();
      if (section !== undefined) return section;
    }
    const fresh = await fetchSection();
    if (fresh !== undefined) return fresh;
    if (refusedBecause !== undefined) {
      throw new CallError(502, { kind: 'otherNetwork', message: refusedBecause });
    }
    throw unreachable('The network does not answer.');
  };

  let refreshing: Promise<unknown> | undefined;
  const refresh = (): Promise<unknown> =>
    (refreshing ??= fetchSection()
      .catch(() => undefined)
      .finally(() => {
        refreshing = undefined;
      }));

  const loaded = (): Promise<Section> => {
    loading ??= load().finally(() => {
      loading = undefined;
    });
    return loading;
  };

  const rememberRoad = (elder: Uint8Array): void => {
    const { road } = host.view(elder);
    if (road !== null) keepRoad(nameToId(elder), road);
  };
  const asking = createAsking({
    host,
    known,
    whoAnswers,
    preference,
    loaded,
    refresh,
    rememberRoad,
  });
  const { readPages } = asking;

  let turn = 0;
  let lookedAtMs = 0;
  const look = async (): Promise<void> => {
    const nowMs = Date.now();
    const places = known.places();
    const name = places[turn % places.length];
    if (name === undefined || nowMs - lookedAtMs < lookEveryMs) return;
    lookedAtMs = nowMs;
    // One place after the other; of its elders first those that are connected anyway.
    const elders = current(name)?.elders ?? [];
    const connected = elders.filter((each) => host.view(each.name).state === 'connected');
    const asked = connected.length > 0 ? connected : elders;
    const elder = asked[Math.floor(turn / places.length) % asked.length];
    turn += 1;
    const doubted = whoAnswers.inDoubt((each) => host.view(each).state);
    const silent = doubted[turn % doubted.length];
    if (silent !== undefined) void readPages(silent, silent.name, lookTimeoutMs);
    const read = elder !== undefined && (await readPages(elder, name, lookTimeoutMs));
    if (!read) await refresh();
    onChange();
  };

  return {
    file,
    section: async (name) => {
      if (current() === undefined) await loaded();
      return current(name) ?? loaded();
    },
    ask: asking.ask,
    askFor: asking.askFor,
    catchUp: async (elder, name, timeoutMs) => void (await readPages(elder, name, timeoutMs)),
    look,
    stall: (name) => {
      const section = current(name);
      return section === undefined ? null : whoAnswers.stall(section);
    },
    paymentSections: () => {
      const keys = known.money();
      const sections = known.sections();
      const eldersOf = (key: Uint8Array): readonly Elder[] =>
        sections.find(({ authority }) => equalBytes(authority.key, key))?.elders ?? [];
      return {
        ...keys,
        current: keys.current.map((each) => ({ ...each, elders: eldersOf(each.key) })),
      };
    },
    onNews: (heard) => {
      listeners.add(heard);
      return () => void listeners.delete(heard);
    },
    proof: async (name, from) => {
      if (current() === undefined) await loaded();
      const proof = known.proof(name, from);
      if (proof === undefined) throw unreachable('The network does not answer.');
      return encodeProof(proof);
    },
    view: () => ({
      instance: instanceId,
      network: { name: file.name, networkId: file.networkId },
      ...verifiedView(known, host.view, whoAnswers.stall, refusedBecause),
      checkpointEpoch: newestEpoch(checkpoints),
      rtc: { used: rtcUsed(), open: rtcOpen(), limit: rtcOffFrom, host: hasRtcHost() },
    }),
    reconsider: () => {
      whoAnswers.forget();
      host.reconsider();
    },
    stop: host.stop,
  };
}

/** Null where no checkpoint is. */
const newestEpoch = (proofs: readonly SectionProof[]): number | null =>
  proofs.reduce<number | null>(
    (newest, { authority }) =>
      authority === null ? newest : Math.max(newest ?? 0, Number(authority.authority.epoch)),
    null,
  );

const wrongAuthority =
  'The answer about who speaks for this section does not fit the genesis key. Nothing was sent.';

const wrongCheckpoint =
  'This version of the app knows other keys than the ones this network was born with. Nothing was sent. Ask whoever runs this address to repair it.';

const rememberedRoads = new Map<string, Road>();
function keepRoad(id: string, road: Road): void {
  if (rememberedRoads.get(id) === road) return;
  rememberedRoads.set(id, road);
  void memory.keepRoad(id, road).catch(() => undefined);
}

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  return bytes.ok ? bytes.value : new Uint8Array();
}
