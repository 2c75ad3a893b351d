/**
 * The light node: one per network file, started by the first call that needs it and made anew
 * after every death of the worker. It trusts nothing but the genesis key.
 */
import { nameToId } from '#address/xor-name.ts';
import { showPrefix } from '#address/prefix.ts';
import type { ElderView, NetworkView, RoadPreference } from '#bridge/worker.ts';
import { equalBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import { err, type Result } from '#core/result.ts';
import type { Refusal } from '#core/refusal.ts';
import { createLightHost, type LightHost } from '#network/light-host.ts';
import { networkTag } from '#network/protocols.ts';
import type { RpcError } from '#network/rpc.ts';
import { rtcOffFrom } from '#network/rtc/budget.ts';
import { hasRtcHost, rtcOpen, rtcUsed } from '#network/rtc/stand-in.ts';
import { decodeProof, maxHops } from '#protocol/anti-entropy/index.ts';
import { decodeSignedAuthority, networkIdOf, proofOf } from '#protocol/section/index.ts';
import { ageOf, closest } from '#address/xor-name.ts';
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
import {
  openKnownSections,
  type Elder,
  type KnownSections,
  type Section,
} from './known-sections.ts';
import { instanceId } from './scope.ts';

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
    elder: Elder,
    request: ClientRequest,
    timeoutMs: number,
    signal?: AbortSignal,
  ) => Promise<Result<Exclude<ClientReply, { kind: 'refused' }>, AskError>>;
  /** Asks an elder for the newest state of the section of a name, and believes what it proves. */
  readonly catchUp: (elder: Elder, name: Uint8Array, timeoutMs: number) => Promise<void>;
  readonly view: () => Omit<NetworkView, 'offlineReady' | 'preference'>;
  readonly reconsider: () => void;
  readonly stop: () => Promise<void>;
}

const askBootstrapMs = 6_000;
/** N33: the first start believes nobody alone. */
const bootstrapsCompared = 2;

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
  const host: LightHost = await createLightHost({
    bootstrap: file.bootstrap,
    tag: networkTag(networkId),
    preference,
    rtcReady,
    lastRoads: await memory.roads(),
    onChange,
  });
  const known = openKnownSections(file.networkId, { genesisKey, networkId }, onChange);
  const { believe, current } = known;
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
      if (!reply.ok) continue;
      const decoded = decodeClientReply(reply.value);
      if (decoded.ok) replies.push(decoded.value);
    }
    return replies;
  };

  const fetchSection = async (): Promise<Section | undefined> => {
    const isFirst = current() === undefined;
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
    const section = current();
    refusedBecause = refused && section === undefined ? wrongAuthority : undefined;
    if (section !== undefined) await known.keep();
    onChange();
    return section;
  };

  const load = async (): Promise<Section> => {
    if (await known.recall()) {
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
    elder: Elder,
    bytes: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
  ): ReturnType<LightNode['ask']> => {
    const reply = await host.ask(
      { ...elder, addresses: known.addressesOf(elder.name) },
      bytes,
      timeoutMs,
      signal,
    );
    if (!reply.ok) return reply;
    const decoded = decodeClientReply(reply.value);
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

  /** Where the elders of a section can be dialled that we were only just told of. */
  const findElders = async (elder: Elder, name: Uint8Array, timeoutMs: number): Promise<void> => {
    const { authority } = current(name) ?? {};
    if (authority === undefined) return;
    if (authority.elders.some((each) => known.addressesOf(each.name).length > 0)) return;
    await catchUp(elder, name, timeoutMs);
  };

  const catchUp: LightNode['catchUp'] = async (elder, name, timeoutMs) => {
    const { authority } = current(name) ?? {};
    if (authority === undefined) return;
    const cover = encodeCover({ kind: 'section', name, from: authority.key });
    const reply = await exchange(elder, cover, timeoutMs);
    if (!reply.ok || reply.value.kind !== 'proof') return;
    known.takeRecords(reply.value.records);
    const proof = decodeProof(reply.value.proof);
    if (proof.ok) await believe(proof.value);
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
    view: () => {
      const section = current();
      return {
        instance: instanceId,
        network: { name: file.name, networkId: file.networkId },
        trust:
          known.forked() || (section === undefined && refusedBecause !== undefined)
            ? 'refused'
            : section === undefined
              ? 'unknown'
              : 'verified',
        sentence: sentenceFor(section, known, refusedBecause),
        section:
          section === undefined
            ? null
            : {
                prefix: showPrefix(section.authority.prefix),
                key: toHex(section.authority.key),
                generation: Number(section.authority.generation),
                members: section.authority.members.length,
                elders: section.elders.map((elder): ElderView => ({
                  name: nameToId(elder.name),
                  age: ageOf(elder.name),
                  ...host.view(elder.name),
                })),
              },
        rtc: { used: rtcUsed(), open: rtcOpen(), limit: rtcOffFrom, host: hasRtcHost() },
      };
    },
    reconsider: host.reconsider,
    stop: host.stop,
  };
}

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

function sentenceFor(section: Section | undefined, known: KnownSections, refused?: string): string {
  if (known.forked()) return forked;
  if (refused !== undefined) return refused;
  if (section === undefined) return 'Not connected yet.';
  const epoch = known.epoch();
  if (epoch === 0n) {
    return 'Five of seven elders signed this section, and their key is the one this network was born with.';
  }
  return `Five of seven elders signed this section. Its key follows from the one this network was born with; verified up to epoch ${epoch}.`;
}

const wrongAuthority =
  'The answer about who speaks for this section does not fit the genesis key. Nothing was sent.';
const forked =
  'A section of this network has named two different successors. One of them is a fraud; nothing of the second was believed.';

const remembered = new Map<string, string>();
function rememberRoad(id: string, road: NonNullable<ElderView['road']>): void {
  if (remembered.get(id) === road) return;
  remembered.set(id, road);
  void memory.keepRoad(id, road).catch(() => undefined);
}

function bytesOf(hex: string): Uint8Array {
  const bytes = fromHex(hex);
  return bytes.ok ? bytes.value : new Uint8Array();
}
