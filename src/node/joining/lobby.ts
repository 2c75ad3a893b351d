/** The lobby of a join point (roles/wire/lobby.ts), and the queue of a network's founders. */
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
  type FounderEntry,
  type Invitation,
  type LobbyReply,
} from '#roles/wire/lobby.ts';
import type { AdmissionControl } from '../requests/admission-control.ts';
import type { SavedNetworkFile } from '#roles/wire/network-file.ts';

export interface KnownNetwork {
  readonly file: SavedNetworkFile;
  /** Encoded address records of the network's nodes, elders first. */
  readonly records: readonly Uint8Array[];
}

export interface LobbyAnswers {
  /** Null while there is no network yet. */
  readonly network: () => KnownNetwork | null;
  /** Only at a join point that creates a network. */
  readonly enlist?: (founder: FounderEntry, from: Uint8Array) => LobbyReply;
  readonly keyReady?: (authority: Uint8Array, from: Uint8Array) => Promise<LobbyReply>;
}

/**
 * @param invalid called for bytes that no program of ours sends.
 * @returns the encoded reply to one lobby request; never rejects because of a peer's bytes.
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
    return encodeRefusal({ kind: 'malformed', what: 'lobby' });
  }
  if (request.value.kind === 'keyReady') {
    if (answers.keyReady === undefined || from === null) return encodeRefusal(noGenesisHere);
    return encodeLobbyReply(await answers.keyReady(request.value.authority, from));
  }
  const network = answers.network();
  if (network !== null) {
    const { file, records } = network;
    return encodeLobbyReply({ kind: 'network', file: JSON.stringify(file), records });
  }
  if (request.value.kind === 'describe' || answers.enlist === undefined || from === null) {
    return encodeRefusal({ kind: 'busy', afterMs: 1_000 });
  }
  const { kind: _, ...founder } = request.value;
  const fits = checkFounder(founder, from);
  if (!fits.ok) return encodeRefusal({ kind: 'notAllowed', rule: fits.error });
  return encodeLobbyReply(answers.enlist(founder, from));
}

/** Serves the lobby to unknown peers: in admission control's lane for non-members. */
export const serveLobby = (
  host: Pick<NodeHost, 'serve'>,
  admission: AdmissionControl,
  answers: LobbyAnswers,
): Promise<void> =>
  host.serve('section', lobbyTag, async (bytes, from) => {
    const answered = await admission.run('outside', from, bytes.length, () =>
      answerLobby(bytes, answers, from.name, from.reportInvalid),
    );
    return answered.ok ? answered.value : encodeRefusal(answered.error);
  });

const noGenesisHere: Refusal = { kind: 'notAllowed', rule: 'noFoundingHere' };
const encodeRefusal = (refusal: Refusal): Uint8Array =>
  encodeLobbyReply({ kind: 'refused', refusal });

/** A founder enlists only itself: its record is signed by the key it connected with. */
export function checkFounder(
  founder: FounderEntry,
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

export interface FounderQueueOptions {
  /** The invitation of a previous run of this program. */
  readonly saved: Invitation | null;
  readonly elders: number;
  readonly adults: number;
  readonly makeInvitation: (
    elders: readonly FounderEntry[],
    adults: readonly FounderEntry[],
  ) => Invitation;
  /** Called once, before any founder receives the invitation: persist, then send. */
  readonly saveInvitation: (invitation: Invitation) => void;
  readonly onFounder: (enlisted: number, wanted: number) => void;
}

export interface FounderQueue {
  readonly enlist: (founder: FounderEntry, from: Uint8Array) => LobbyReply;
  readonly invitation: () => Invitation | null;
}

/** Waits for enough founders: the first seven become elders, the others adults. */
export function createFounderQueue(options: FounderQueueOptions): FounderQueue {
  const wanted = options.elders + options.adults;
  const enlisted = new Map<string, FounderEntry>();
  let invitation = options.saved;
  let encoded = invitation === null ? null : encodeInvitation(invitation);

  return {
    enlist: (founder, from) => {
      if (encoded === null) {
        const id = toHex(from);
        const isNew = !enlisted.has(id);
        if (isNew && enlisted.size >= wanted) return { kind: 'waiting', enlisted: wanted, wanted };
        enlisted.set(id, founder);
        if (isNew) options.onFounder(enlisted.size, wanted);
        if (enlisted.size < wanted) return { kind: 'waiting', enlisted: enlisted.size, wanted };
        const all = [...enlisted.values()];
        invitation = options.makeInvitation(
          all.slice(0, options.elders),
          all.slice(options.elders),
        );
        options.saveInvitation(invitation);
        encoded = encodeInvitation(invitation);
      }
      return { kind: 'founding', invitation: encoded };
    },
    invitation: () => invitation,
  };
}
