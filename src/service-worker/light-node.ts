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
import { blsSuite } from '#crypto/threshold-suite.ts';
import { createLightHost, type LightHost } from '#network/light-host.ts';
import { networkTag } from '#network/protocols.ts';
import type { RpcError } from '#network/rpc.ts';
import { rtcOffFrom } from '#network/rtc/budget.ts';
import { hasRtcHost, rtcOpen, rtcUsed } from '#network/rtc/stand-in.ts';
import {
  decodeAddressRecord,
  decodeSignedAuthority,
  networkIdOf,
  verifyAddressRecord,
  verifySignedAuthority,
  type SectionAuthority,
} from '#protocol/section/index.ts';
import { ageOf } from '#address/xor-name.ts';
import { adultsOf } from '#roles/placement.ts';
import {
  decodeClientReply,
  encodeClientRequest,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { CallError, unreachable } from './answers.ts';
import { memory, type NetworkFile } from './memory.ts';
import { rtcReady } from './rtc.ts';
import { instanceId } from './scope.ts';

export interface Elder {
  readonly name: Uint8Array;
  readonly index: number;
  readonly publicShare: Uint8Array;
  readonly addresses: readonly string[];
}

export interface Section {
  readonly authority: SectionAuthority;
  /** The signed authority as it came, for the vault to verify itself. */
  readonly signed: Uint8Array;
  readonly networkId: Uint8Array;
  readonly elders: readonly Elder[];
  /** Adults: members that may hold chunks and pointer records, as hex names. */
  readonly holders: ReadonlySet<string>;
}

export type AskError =
  RpcError | { readonly kind: 'refused'; readonly refusal: Refusal } | { readonly kind: 'lie' };

export interface LightNode {
  readonly file: NetworkFile;
  /** The verified section; waits for the network, throws {@link CallError} when it is away. */
  readonly section: () => Promise<Section>;
  readonly ask: (
    elder: Elder,
    request: ClientRequest,
    timeoutMs: number,
    signal?: AbortSignal,
  ) => Promise<Result<Exclude<ClientReply, { kind: 'refused' }>, AskError>>;
  readonly view: () => Omit<NetworkView, 'offlineReady' | 'preference'>;
  readonly reconsider: () => void;
  readonly stop: () => Promise<void>;
}

const askBootstrapMs = 6_000;

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
  let section: Section | undefined;
  let loading: Promise<Section> | undefined;
  let refusedBecause: string | undefined;

  const verify = (
    authorityBytes: Uint8Array,
    records: readonly Uint8Array[],
  ): Section | undefined => {
    const decoded = decodeSignedAuthority(authorityBytes);
    if (!decoded.ok) return undefined;
    const verified = verifySignedAuthority(blsSuite, { genesisKey, networkId }, decoded.value);
    if (!verified.ok) return undefined;
    const authority = verified.value;
    const addresses = new Map<string, readonly string[]>();
    const counters = new Map<string, bigint>();
    for (const bytes of records) {
      const record = decodeAddressRecord(bytes);
      if (!record.ok || !verifyAddressRecord(networkId, record.value)) continue;
      const id = nameToId(record.value.name);
      if ((counters.get(id) ?? -1n) >= record.value.counter) continue;
      counters.set(id, record.value.counter);
      addresses.set(id, record.value.addresses);
    }
    const elders = authority.elders.map((elder) => ({
      name: elder.name,
      index: elder.index,
      publicShare: elder.publicShare,
      addresses: addresses.get(nameToId(elder.name)) ?? [],
    }));
    // Elders do not store: a receipt of one is no copy.
    const holders = new Set(adultsOf(authority).map(nameToId));
    return { authority, signed: authorityBytes, networkId, elders, holders };
  };

  const askBootstrap = async (request: ClientRequest): Promise<ClientReply | undefined> => {
    for (let index = 0; index < file.bootstrap.length; index++) {
      const reply = await host.askBootstrap(index, encodeClientRequest(request), askBootstrapMs);
      if (!reply.ok) continue;
      const decoded = decodeClientReply(reply.value);
      if (decoded.ok) return decoded.value;
    }
    return undefined;
  };

  const fetchSection = async (): Promise<Section | undefined> => {
    const [authority, addresses] = await Promise.all([
      askBootstrap({ kind: 'authority' }),
      askBootstrap({ kind: 'addresses' }),
    ]);
    if (authority?.kind !== 'authority' || addresses?.kind !== 'addresses') return undefined;
    const fresh = verify(authority.authority, addresses.records);
    if (fresh === undefined) {
      refusedBecause =
        'The answer about who speaks for this section does not fit the genesis key. Nothing was sent.';
      onChange();
      return undefined;
    }
    refusedBecause = undefined;
    section = fresh;
    await memory.keepSection(file.networkId, {
      authority: authority.authority,
      addresses: addresses.records,
    });
    onChange();
    return fresh;
  };

  const load = async (): Promise<Section> => {
    const kept = await memory.section(file.networkId);
    if (kept !== undefined) {
      section = verify(kept.authority, kept.addresses);
      // Addresses may have moved; the authority cannot have changed unseen (one genesis key).
      void fetchSection().catch(() => undefined);
      if (section !== undefined) return section;
    }
    const fresh = await fetchSection();
    if (fresh !== undefined) return fresh;
    if (refusedBecause !== undefined) {
      throw new CallError(502, { kind: 'otherNetwork', message: refusedBecause });
    }
    throw unreachable('The network does not answer.');
  };

  return {
    file,
    section: () => {
      if (section !== undefined) return Promise.resolve(section);
      loading ??= load().finally(() => {
        loading = undefined;
      });
      return loading;
    },
    ask: async (elder, request, timeoutMs, signal) => {
      const known = section?.elders.find((each) => each.index === elder.index) ?? elder;
      const reply = await host.ask(known, encodeClientRequest(request), timeoutMs, signal);
      if (!reply.ok) return reply;
      const decoded = decodeClientReply(reply.value);
      if (!decoded.ok) return err({ kind: 'lie' });
      const answer = decoded.value;
      if (answer.kind === 'refused') return err({ kind: 'refused', refusal: answer.refusal });
      const { road } = host.view(elder.name);
      if (road !== null) rememberRoad(nameToId(elder.name), road);
      return { ok: true, value: answer };
    },
    view: () => ({
      instance: instanceId,
      network: { name: file.name, networkId: file.networkId },
      trust:
        section !== undefined ? 'verified' : refusedBecause === undefined ? 'unknown' : 'refused',
      sentence: sentenceFor(section, refusedBecause),
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
    }),
    reconsider: host.reconsider,
    stop: host.stop,
  };
}

function sentenceFor(section: Section | undefined, refused: string | undefined): string {
  if (refused !== undefined) return refused;
  if (section === undefined) return 'Not connected yet.';
  return 'Five of seven elders signed this section, and their key is the one this network was born with.';
}

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
