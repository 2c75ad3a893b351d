/**
 * How a node comes to its network: it knocks at a join point until it hears which network that is,
 * or is invited to found one. What it learns is kept, so that a restart needs no join point.
 */
import { multiaddrName, type NodeHost } from '#network/node-host.ts';
import { lobbyTag } from '#network/protocols.ts';
import { encodeAddressRecord, signAddressRecord } from '#protocol/section/index.ts';
import { maxAddressCharacters, maxAddresses } from '#protocol/section/index.ts';
import {
  decodeInvitation,
  decodeLobbyReply,
  encodeLobbyRequest,
  lobbyId,
  type Invitation,
  type LobbyReply,
  type LobbyRequest,
} from '#roles/wire/lobby.ts';
import { Problem } from '#storage/node/problem.ts';
import { parseNetworkFile, type KeptNetworkFile } from './network-file.ts';
import type { NodeIdentity } from './node-folder.ts';
import { nextAddressCounter } from './node-folder.ts';

export interface JoinPoint {
  readonly address: string;
  readonly name: Uint8Array;
}

/** @returns undefined when the text is no multiaddr with a peer id of an ed25519 key. */
export function parseJoinPoint(text: string): JoinPoint | undefined {
  const name = multiaddrName(text);
  return name === undefined ? undefined : { address: text, name };
}

export type Arrived =
  | {
      readonly kind: 'network';
      readonly file: KeptNetworkFile;
      readonly records: readonly Uint8Array[];
    }
  | { readonly kind: 'founding'; readonly invitation: Invitation };

const askEveryMs = 500;
const timeoutMs = 5_000;
/** Nobody answered so often, from the first try on: somebody should look. */
const silentTries = 8;

export async function askLobby(
  host: NodeHost,
  at: JoinPoint,
  request: LobbyRequest,
): Promise<LobbyReply | null> {
  const to = { name: at.name, addresses: [at.address] };
  const answer = await host.request(to, 'section', lobbyTag, encodeLobbyRequest(request), {
    timeoutMs,
  });
  const reply = answer.ok ? decodeLobbyReply(answer.value) : undefined;
  return reply?.ok === true ? reply.value : null;
}

/**
 * Knocks until there is a network. Errors: throws a Problem with a next step when nobody answers,
 * or when the join point is no part of a network of ours.
 */
export async function arrive(
  identity: NodeIdentity,
  host: NodeHost,
  at: JoinPoint,
  say: (line: string) => void,
  until: 'anything' | 'network' = 'anything',
): Promise<Arrived> {
  const addresses = host
    .addresses()
    .filter((each) => each.length <= maxAddressCharacters && !each.includes('/p2p-circuit'))
    .slice(0, maxAddresses);
  const counter = nextAddressCounter(identity.folder);
  const record = encodeAddressRecord(signAddressRecord(identity.seed, lobbyId, counter, addresses));
  const request: LobbyRequest = { kind: 'arrive', record, sharingKey: identity.sharing.key };
  let silent = 0;
  let told = '';
  for (;;) {
    const reply = await askLobby(host, at, request);
    if (reply === null) {
      silent += 1;
      if (silent === silentTries && told === '') throw nobodyAnswers(at.address);
    } else silent = 0;
    switch (reply?.kind) {
      case 'network': {
        const parsed = parseNetworkFile(reply.file);
        if (parsed === undefined) throw notOurs(at.address);
        return { kind: 'network', file: parsed.file, records: reply.records };
      }
      case 'founding': {
        const invitation = decodeInvitation(reply.invitation);
        if (!invitation.ok) throw notOurs(at.address);
        told ||= ' ';
        if (until === 'network') break;
        return { kind: 'founding', invitation: invitation.value };
      }
      case 'waiting': {
        const line = `Waiting for founders: ${reply.arrived} of ${reply.wanted} are here.`;
        if (line !== told) say(line);
        told = line;
        break;
      }
      case 'refused':
        if (reply.refusal.kind === 'notAllowed') {
          throw new Problem(
            'notPermitted',
            `The join point refuses this node (${reply.refusal.rule}): start it with an address others can reach, see --listen.`,
          );
        }
        told ||= ' ';
        break;
      default:
        break;
    }
    await new Promise((go) => setTimeout(go, askEveryMs));
  }
}

const nobodyAnswers = (address: string): Problem =>
  new Problem(
    'broken',
    `Nobody answers at ${address}: check that the network runs and give its address with --join MULTIADDR.`,
  );

const notOurs = (address: string): Problem =>
  new Problem(
    'newerFormat',
    `The node at ${address} speaks of a network this version does not know: update Safe, or join elsewhere with --join MULTIADDR.`,
  );
