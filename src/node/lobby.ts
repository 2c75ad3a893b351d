/** The lobby of a join point (roles/wire/lobby.ts), and the gathering of a network's founders. */
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { Refusal } from '#core/refusal.ts';
import type { Result } from '#core/result.ts';
import type { NodeHost } from '#network/node-host.ts';
import { lobbyTag } from '#network/protocols.ts';
import { decodeAddressRecord, verifyAddressRecord } from '#protocol/section/index.ts';
import {
  decodeLobbyRequest,
  encodeInvitation,
  encodeLobbyReply,
  lobbyId,
  type Founder,
  type Invitation,
  type LobbyReply,
} from '#roles/wire/lobby.ts';
import type { Gate } from './gate.ts';
import type { KeptNetworkFile } from './network-file.ts';

export interface KnownNetwork {
  readonly file: KeptNetworkFile;
  /** Encoded address records of the network's nodes, elders first. */
  readonly records: readonly Uint8Array[];
}

export interface LobbyAnswers {
  /** Null while there is no network yet. */
  readonly network: () => KnownNetwork | null;
  /** Only where a network is being founded. */
  readonly arrive?: (founder: Founder, from: Uint8Array) => LobbyReply;
  readonly born?: (authority: Uint8Array, from: Uint8Array) => Promise<LobbyReply>;
}

/**
 * @param invalid called when no program of ours would have sent these bytes.
 * @returns the encoded reply to one request of the lobby; never rejects on a peer's bytes.
 */
export async function answerLobby(
  bytes: Uint8Array,
  answers: LobbyAnswers,
  from: Uint8Array | null = null,
  invalid: () => void = () => undefined,
): Promise<Uint8Array> {
  const request = decodeLobbyRequest(bytes);
  if (!request.ok) {
    invalid();
    return refused({ kind: 'malformed', what: 'lobby' });
  }
  if (request.value.kind === 'born') {
    if (answers.born === undefined || from === null) return refused(notHere);
    return encodeLobbyReply(await answers.born(request.value.authority, from));
  }
  const network = answers.network();
  if (network !== null) {
    const { file, records } = network;
    return encodeLobbyReply({ kind: 'network', file: JSON.stringify(file), records });
  }
  if (request.value.kind === 'which' || answers.arrive === undefined || from === null) {
    return refused({ kind: 'busy', afterMs: 1_000 });
  }
  const { kind: _, ...founder } = request.value;
  const fits = checkFounder(founder, from);
  if (!fits.ok) return refused({ kind: 'notAllowed', rule: fits.error });
  return encodeLobbyReply(answers.arrive(founder, from));
}

/** Serves the lobby to strangers: in the gate's lane for those who are no members. */
export const serveLobby = (
  host: Pick<NodeHost, 'serve'>,
  gate: Gate,
  answers: LobbyAnswers,
): Promise<void> =>
  host.serve('section', lobbyTag, async (bytes, from) => {
    const answered = await gate.enter('outside', from, bytes.length, () =>
      answerLobby(bytes, answers, from.name, from.invalid),
    );
    return answered.ok ? answered.value : refused(answered.error);
  });

const notHere: Refusal = { kind: 'notAllowed', rule: 'noFoundingHere' };
const refused = (refusal: Refusal): Uint8Array => encodeLobbyReply({ kind: 'refused', refusal });

/** A founder speaks for itself: its record is signed by the key it connected with. */
export function checkFounder(
  founder: Founder,
  from: Uint8Array | null,
): Result<Uint8Array, string> {
  const record = decodeAddressRecord(founder.record);
  if (!record.ok || !verifyAddressRecord(lobbyId, record.value).ok) {
    return { ok: false, error: 'record' };
  }
  if (record.value.addresses.length === 0) return { ok: false, error: 'noAddress' };
  const { name } = record.value;
  if (from !== null && nameToId(name) !== nameToId(from)) return { ok: false, error: 'otherName' };
  return { ok: true, value: name };
}

export interface GatheringOptions {
  /** The invitation of an earlier life of this program. */
  readonly kept: Invitation | null;
  readonly elders: number;
  readonly adults: number;
  readonly make: (elders: readonly Founder[], adults: readonly Founder[]) => Invitation;
  /** Called once, before the first founder hears of it: persist, then speak. */
  readonly keep: (invitation: Invitation) => void;
  readonly onArrival: (arrived: number, wanted: number) => void;
}

export interface Gathering {
  readonly arrive: (founder: Founder, from: Uint8Array) => LobbyReply;
  readonly invitation: () => Invitation | null;
}

/** Waits until enough founders are there: the first seven are elders, the next ones adults. */
export function createGathering(options: GatheringOptions): Gathering {
  const wanted = options.elders + options.adults;
  const arrived = new Map<string, Founder>();
  let invitation = options.kept;
  let encoded = invitation === null ? null : encodeInvitation(invitation);

  return {
    arrive: (founder, from) => {
      if (encoded === null) {
        const id = toHex(from);
        const isNew = !arrived.has(id);
        if (isNew && arrived.size >= wanted) return { kind: 'waiting', arrived: wanted, wanted };
        arrived.set(id, founder);
        if (isNew) options.onArrival(arrived.size, wanted);
        if (arrived.size < wanted) return { kind: 'waiting', arrived: arrived.size, wanted };
        const all = [...arrived.values()];
        invitation = options.make(all.slice(0, options.elders), all.slice(options.elders));
        options.keep(invitation);
        encoded = encodeInvitation(invitation);
      }
      return { kind: 'founding', invitation: encoded };
    },
    invitation: () => invitation,
  };
}
