/**
 * The light node: one per network file, started by the first call that needs it and made anew
 * after every death of the worker. It trusts nothing but the genesis key.
 */
import { nameToId } from '#address/xor-name.ts';
import type { NetworkView, Road, RoadPreference, StallView } from '#bridge/worker.ts';
import { equalBytes, fromHex } from '#core/codec/bytes.ts';
import { err, type Result } from '#core/result.ts';
import type { Refusal } from '#core/refusal.ts';
import { createLightHost, type LightHost } from '#network/light-host.ts';
import { networkTag } from '#network/protocols.ts';
import type { RpcError } from '#network/rpc.ts';
import { rtcOffFrom } from '#network/rtc/budget.ts';
import { hasRtcHost, rtcOpen, rtcUsed } from '#network/rtc/stand-in.ts';
import type { PaymentSections } from '#safe/payment/index.ts';
import { decodeProof, encodeProof, maxHops, maxPages } from '#protocol/anti-entropy/index.ts';
import {
  decodeSignedAuthority,
  networkIdOf,
  proofOf,
  type SectionProof,
} from '#protocol/section/index.ts';
import { closest } from '#address/xor-name.ts';
import {
  decodeClientReply,
  encodeClientRequest,
  encodeCover,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { CallError, unreachable } from './answers.ts';
import { memory, type NetworkFile } from './memory.ts';
import { rtcReady } from './rtc.ts';
import { openKnownSections, type Elder, type Section } from './known-sections.ts';
import { verifiedView } from './network-view.ts';
import { checkpointsFor } from './checkpoints.ts';
import { instanceId } from './instance.ts';
import { isSilence, watchWhoAnswers } from './who-answers.ts';

export type { Elder, Section };

export type AskError =
  RpcError | { readonly kind: 'refused'; readonly refusal: Refusal } | { readonly kind: 'lie' };

export interface LightNode {
  readonly file: NetworkFile;
  /**
   * The verified section that answers for this name, or without one that of any elder; waits for
   * the network, throws {@link CallError} when it is away.
   */
  readonly section: (name?: Uint8Array) => Promise<Section>;
  /**
   * Asks under the section key that answers for `name`, and follows: whoever says retry or redirect
   * and proves it has the same bytes sent on, at most {@link maxHops} times (N30).
   */
  readonly askFor: (
    name: Uint8Array,
    elder: Elder,
    request: ClientRequest,
    timeoutMs: number,
    signal?: AbortSignal,
  ) => Promise<Result<Exclude<ClientReply, { kind: 'refused' }>, AskError>>;
  readonly ask: (
    elder: Pick<Elder, 'name'>,
    request: ClientRequest,
    timeoutMs: number,
    signal?: AbortSignal,
  ) => Promise<Result<Exclude<ClientReply, { kind: 'refused' }>, AskError>>;
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
    preference,
    rtcReady,
    lastRoads: await memory.roads(),
    onChange,
  });
  const listeners = new Set<() => void>();
  const known = openKnownSections(file.networkId, { genesisKey, networkId }, () => {
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

  /** @param wanted how many bootstrap nodes to hear; the first start compares two (N33). */
  const askBootstrap = async (
    request: ClientRequest,
    wanted = 1,
  ): Promise<readonly ClientReply[]> => {
    const replies: ClientReply[] = [];
    for (let index = 0; index < file.bootstrap.length && replies.length < wanted; index++) {
      const reply = await host.askBootstrap(index, encodeClientRequest(request), askBootstrapMs);
      whoAnswers.noteBootstrap(index, reply.ok);
      if (!reply.ok) continue;
      const decoded = decodeClientReply(reply.value);
      if (decoded.ok) replies.push(decoded.value);
    }
    return replies;
  };

  const fetchSection = async (): Promise<Section | undefined> => {
    const isFirst = current() === undefined || known.recorded().length === 0;
    const [authorities, addresses] = await Promise.all([
      askBootstrap({ kind: 'authority' }, isFirst ? bootstrapsCompared : 1),
      askBootstrap({ kind: 'addresses' }),
    ]);
    known.takeRecords(addresses.flatMap((each) => (each.kind === 'addresses' ? each.records : [])));
    let refused = false;
    for (const reply of authorities) {
      if (reply.kind !== 'authority') continue;
      const signed = decodeSignedAuthority(reply.authority);
      const fits = signed.ok && (await believe(proofOf(signed.value)));
      refused ||= !fits;
    }
    // A chain longer than a page: the elders, whose addresses are signed by themselves, have the rest.
    const isBehind = current() === undefined || refused;
    const strangers = isBehind ? known.recorded().slice(0, eldersTried) : [];
    for (const name of strangers) {
      if (await readPages({ name }, home, askBootstrapMs)) break;
    }
    const section = current();
    refusedBecause = refused && section === undefined ? wrongAuthority : undefined;
    if (section !== undefined) await known.keep();
    onChange();
    // What shipped with the app alone says nothing about where its elders are today.
    return authorities.length > 0 || known.recorded().length > 0 ? section : undefined;
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

  const exchange = async (
    elder: Pick<Elder, 'name'>,
    bytes: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
  ): ReturnType<LightNode['ask']> => {
    const addresses = known.addressesOf(elder.name);
    const isTried = addresses.length > 0 && !host.resting(elder.name);
    const reply = await host.ask({ name: elder.name, addresses }, bytes, timeoutMs, signal);
    if (!reply.ok) {
      const isMeant = isTried && signal?.aborted !== true;
      if (isMeant && isSilence(reply.error, preference())) whoAnswers.note(elder.name, false);
      return reply;
    }
    const decoded = decodeClientReply(reply.value);
    whoAnswers.note(elder.name, decoded.ok);
    if (!decoded.ok) return err({ kind: 'lie' });
    const answer = decoded.value;
    if (answer.kind === 'refused') return err({ kind: 'refused', refusal: answer.refusal });
    const { road } = host.view(elder.name);
    if (road !== null) rememberRoad(nameToId(elder.name), road);
    return { ok: true, value: answer };
  };

  /** Takes in what a refusal proves; true when the name is now answered for by another key. */
  const heed = async (refusal: Refusal, name: Uint8Array, used: Uint8Array): Promise<boolean> => {
    if (refusal.kind !== 'retry' && refusal.kind !== 'redirect') return false;
    const proof = decodeProof(refusal.proof);
    if (!proof.ok || !(await believe(proof.value))) return false;
    const next = current(name);
    if (next === undefined) return false;
    return !equalBytes(known.keyFor(name), used);
  };

  /** Who speaks for a name we were only just told about, and where its elders can be dialled. */
  const findElders = async (elder: Elder, name: Uint8Array, timeoutMs: number): Promise<void> => {
    const { authority } = current(name) ?? {};
    if (authority === undefined) return;
    const isNewest = equalBytes(authority.key, known.keyFor(name));
    const reached = authority.elders.every((each) => known.addressesOf(each.name).length > 0);
    if (!isNewest || !reached) await catchUp(elder, name, timeoutMs);
  };

  /** Reads the elder's pages of links until one ends at an authority. @returns whether it did. */
  const readPages = async (
    elder: Pick<Elder, 'name'>,
    name: Uint8Array,
    timeoutMs: number,
  ): Promise<boolean> => {
    for (let page = 0; page < maxPages; page++) {
      const from = known.keyFor(name);
      const reply = await exchange(elder, encodeCover({ kind: 'section', name, from }), timeoutMs);
      if (!reply.ok || reply.value.kind !== 'proof') return false;
      known.takeRecords(reply.value.records);
      const proof = decodeProof(reply.value.proof);
      if (!proof.ok || !(await believe(proof.value))) return false;
      if (proof.value.authority !== null) return true;
      if (equalBytes(known.keyFor(name), from)) return false; // It leads nowhere.
    }
    return false;
  };

  const catchUp: LightNode['catchUp'] = async (elder, name, timeoutMs) => {
    await readPages(elder, name, timeoutMs);
  };

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
    ask: (elder, request, timeoutMs, signal) =>
      exchange(elder, encodeClientRequest(request), timeoutMs, signal),
    askFor: async (name, elder, request, timeoutMs, signal) => {
      const inside = encodeClientRequest(request);
      let to = elder;
      for (let hop = 0; ; hop++) {
        const section = current(name) ?? (await loaded());
        const key = known.keyFor(name);
        const { generation } = section.authority;
        const bytes = encodeCover({ kind: 'under', key, generation, request: inside });
        const reply = await exchange(to, bytes, timeoutMs, signal);
        if (reply.ok) return reply;
        // An elder that does not answer may be none any more: the bootstrap nodes know.
        if (reply.error.kind !== 'refused') void refresh();
        if (reply.error.kind !== 'refused' || hop >= maxHops) return reply;
        if (!(await heed(reply.error.refusal, name, key))) return reply;
        await findElders(to, name, timeoutMs);
        to = nextElder(current(name) ?? section, to, name);
      }
    },
    catchUp,
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

/** The same elder if it is one of the new key, too; else the closest to the name. */
function nextElder({ elders }: Section, before: Elder, name: Uint8Array): Elder {
  const same = elders.find((each) => equalBytes(each.name, before.name));
  const [nearest] = closest(
    elders.map((each) => each.name),
    name,
    1,
  );
  return same ?? elders.find((each) => each.name === nearest) ?? before;
}

const wrongAuthority =
  'The answer about who speaks for this section does not fit the genesis key. Nothing was sent.';

const wrongCheckpoint =
  'This version of the app knows other keys than the ones this network was born with. Nothing was sent. Ask whoever runs this address to repair it.';

const remembered = new Map<string, string>();
function rememberRoad(id: string, road: Road): void {
  if (remembered.get(id) === road) return;
  remembered.set(id, road);
  void memory.keepRoad(id, road).catch(() => undefined);
}

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  return bytes.ok ? bytes.value : new Uint8Array();
}
