/**
 * How a node joins its network: it queries a join point until it learns the network, or is invited
 * to found one. It saves the result, so that a restart needs no join point.
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
import { parseSavedNetworkFile, type SavedNetworkFile } from '#roles/wire/network-file.ts';
import type { NodeIdentity } from '../data-folder/node-identity.ts';
import { nextAddressCounter } from '../data-folder/node-identity.ts';

export interface JoinPoint {
  readonly address: string;
  readonly name: Uint8Array;
}

/** @returns undefined when the text is not a multiaddr with the peer id of an ed25519 key. */
export function parseJoinPoint(text: string): JoinPoint | undefined {
  const name = multiaddrName(text);
  return name === undefined ? undefined : { address: text, name };
}

export type JoinResult =
  | {
      readonly kind: 'network';
      readonly file: SavedNetworkFile;
      readonly records: readonly Uint8Array[];
    }
  | { readonly kind: 'founding'; readonly invitation: Invitation };

const queryEveryMs = 500;
const timeoutMs = 5_000;
/** If the first tries all get no answer, a person must look. */
const unansweredTriesAllowed = 8;

export async function queryLobby(
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
 * Queries the join point until there is a network. Errors: throws a Problem with a next step when it
 * does not answer, or when it belongs to no network of ours.
 */
export async function joinNetwork(
  identity: NodeIdentity,
  host: NodeHost,
  at: JoinPoint,
  showLine: (line: string) => void,
  until: 'anything' | 'network' = 'anything',
): Promise<JoinResult> {
  const addresses = host
    .addresses()
    .filter((each) => each.length <= maxAddressCharacters && !each.includes('/p2p-circuit'))
    .slice(0, maxAddresses);
  const counter = nextAddressCounter(identity.folder);
  const record = encodeAddressRecord(signAddressRecord(identity.seed, lobbyId, counter, addresses));
  const request: LobbyRequest = { kind: 'enlist', record, sharingKey: identity.sharing.key };
  let unanswered = 0;
  let lastShown = '';
  for (;;) {
    const reply = await queryLobby(host, at, request);
    if (reply === null) {
      unanswered += 1;
      if (unanswered === unansweredTriesAllowed && lastShown === '')
        throw noAnswerProblem(at.address);
    } else unanswered = 0;
    switch (reply?.kind) {
      case 'network': {
        const parsed = parseSavedNetworkFile(reply.file);
        if (parsed === undefined) throw unknownNetworkProblem(at.address);
        return { kind: 'network', file: parsed.file, records: reply.records };
      }
      case 'founding': {
        const invitation = decodeInvitation(reply.invitation);
        if (!invitation.ok) throw unknownNetworkProblem(at.address);
        lastShown ||= ' ';
        if (until === 'network') break;
        return { kind: 'founding', invitation: invitation.value };
      }
      case 'waiting': {
        const line = `Waiting for founders: ${reply.enlisted} of ${reply.wanted} are here.`;
        if (line !== lastShown) showLine(line);
        lastShown = line;
        break;
      }
      case 'refused':
        if (reply.refusal.kind === 'notAllowed') {
          throw new Problem(
            'notPermitted',
            `The join point refuses this node (${reply.refusal.rule}): start it with an address others can reach, see --listen.`,
          );
        }
        lastShown ||= ' ';
        break;
      default:
        break;
    }
    await new Promise((go) => setTimeout(go, queryEveryMs));
  }
}

const noAnswerProblem = (address: string): Problem =>
  new Problem(
    'broken',
    `No node answers at ${address}: check that the network runs and give its address with --join MULTIADDR.`,
  );

const unknownNetworkProblem = (address: string): Problem =>
  new Problem(
    'newerFormat',
    `The node at ${address} belongs to a network this version does not know: update Safe, or join elsewhere with --join MULTIADDR.`,
  );
