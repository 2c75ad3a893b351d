/**
 * Genesis as `safe network create` sees it: collects founders, sends the invitation, and accepts the
 * network that five founders report.
 */
import { randomBytes } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { genesisKeyPair } from '#money/wallet-keys.ts';
import {
  decodeSignedAuthority,
  networkIdOf,
  SHARES_REQUIRED,
  verifySignedAuthority,
  type SectionAuthority,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import type { Invitation, LobbyReply } from '#roles/wire/lobby.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { folderProblem } from '#storage/node/problem.ts';
import { createFounderQueue, type FounderQueue } from '../joining/lobby.ts';
import type { Log } from '../monitoring/log.ts';
import { firstSupply, makeNetworkFile, type SavedNetworkFile } from '#roles/wire/network-file.ts';
import {
  saveAuthority,
  saveInvitation,
  saveNetwork,
  loadAuthority,
  loadInvitation,
  loadNetwork,
  invitedRecord,
} from '../data-folder/saved-network.ts';
import type { NodeIdentity } from '../data-folder/node-identity.ts';
import { progress } from '../programs/program-lifecycle.ts';

export interface CreatedNetwork {
  readonly file: SavedNetworkFile;
  readonly anchor: TrustAnchor;
  readonly signed: SignedAuthority;
}

export interface GenesisCoordinator {
  readonly enlist: FounderQueue['enlist'];
  readonly onKeyReady: (bytes: Uint8Array, from: Uint8Array) => Promise<LobbyReply>;
  readonly network: () => CreatedNetwork | null;
  readonly created: Promise<CreatedNetwork>;
}

/** Invalid reports accepted from one founder before its reports are refused unread. */
const maxInvalidReports = 3;

/** Errors: throws a Problem when the network saved in the folder does not verify. */
export function coordinateGenesis(
  command: {
    readonly name: string | null;
    readonly elders: number;
    readonly adults: number;
  },
  folder: DataFolder,
  identity: NodeIdentity,
  faucetSeed: Uint8Array,
  log: Log,
): GenesisCoordinator {
  let network = loadCreatedNetwork(folder, identity);
  const { promise: created, resolve: settle } = Promise.withResolvers<CreatedNetwork>();
  if (network !== null) settle(network);
  /** By founder: the hash of its one report that verified. */
  const reportedHashes = new Map<string, string>();
  const invalidCounts = new Map<string, number>();

  const founderQueue = createFounderQueue({
    saved: loadInvitation(folder),
    elders: command.elders,
    adults: command.adults,
    makeInvitation: (elders, adults): Invitation => ({
      networkName: command.name ?? `local-${randomBytes(3).toString('hex')}`,
      nonce: new Uint8Array(randomBytes(32)),
      elders,
      adults,
      genesisOutput: { oneTimeKey: genesisKeyPair(faucetSeed).oneTimeKey, amount: firstSupply },
    }),
    saveInvitation: (invitation) => {
      saveInvitation(folder, invitation);
      progress('All founders are here: they make the key of the network …');
    },
    onFounder: (arrived, wanted) => {
      log.write({ event: 'foundersReady', count: arrived });
      progress(`${arrived} of ${wanted} founders are here.`);
    },
  });

  const onKeyReady = async (bytes: Uint8Array, from: Uint8Array): Promise<LobbyReply> => {
    const invitation = founderQueue.invitation();
    if (invitation === null) return refuseGenesis('malformed');
    const founder = nameToId(from);
    const isFounder = invitation.elders.some(
      ({ record }) => nameToId(invitedRecord(record).name) === founder,
    );
    if (!isFounder) return refuseGenesis('notInvited');
    const hash = toHex(sha256(bytes));
    const before = reportedHashes.get(founder);
    if (before !== undefined && before !== hash) return refuseGenesis('otherGenesis');
    if ((invalidCounts.get(founder) ?? 0) >= maxInvalidReports)
      return refuseGenesis('wrongGenesis');
    const signed = decodeSignedAuthority(bytes);
    // A report that verified once needs no second check; a different one does, whatever its key.
    const isKnown = [...reportedHashes.values()].includes(hash);
    if (!signed.ok || !(isKnown || isGenesisOf(invitation, signed.value))) {
      invalidCounts.set(founder, (invalidCounts.get(founder) ?? 0) + 1);
      return refuseGenesis(signed.ok ? 'wrongGenesis' : 'malformed');
    }
    reportedHashes.set(founder, hash);
    const count = [...reportedHashes.values()].filter((each) => each === hash).length;
    if (network === null && count >= SHARES_REQUIRED) {
      const file = makeNetworkFile(invitation.networkName, signed.value.authority.key, firstSupply);
      saveAuthority(identity, signed.value);
      saveNetwork(folder, file);
      network = loadCreatedNetwork(folder, identity);
      if (network !== null) settle(network);
    }
    return { kind: 'counted', count };
  };

  return { enlist: founderQueue.enlist, onKeyReady, network: () => network, created };
}

/**
 * The anchor of a new network is its own key; five founders reporting the same bytes make it the
 * network's. Everything else in the report must match the invitation.
 */
function isGenesisOf(invitation: Invitation, signed: SignedAuthority): boolean {
  const { authority } = signed;
  const anchor = {
    genesisKey: authority.key,
    networkId: networkIdOf(authority.key, invitation.networkName),
  };
  return (
    signed.chain.length === 0 &&
    matchesInvitation(invitation, authority) &&
    verifySignedAuthority(blsSuite, anchor, signed).ok
  );
}

function matchesInvitation(invitation: Invitation, authority: SectionAuthority): boolean {
  const { elders, adults, genesisOutput } = invitation;
  const founder = ({ record, sharingKey }: Invitation['elders'][number]): string =>
    `${nameToId(invitedRecord(record).name)} ${toHex(sharingKey)}`;
  const member = ({ name, sharingKey }: SectionAuthority['members'][number]): string =>
    `${nameToId(name)} ${toHex(sharingKey)}`;
  const coin = authority.genesisOutput;
  const sameCoin =
    genesisOutput === null || coin === null
      ? genesisOutput === coin
      : coin.amount === genesisOutput.amount &&
        equalBytes(coin.oneTimeKey, genesisOutput.oneTimeKey);
  return (
    authority.epoch === 0n &&
    authority.generation === 0n &&
    sameCoin &&
    sameSet(
      elders.map(({ record }) => nameToId(invitedRecord(record).name)),
      authority.elders.map(({ name }) => nameToId(name)),
    ) &&
    sameSet([...elders, ...adults].map(founder), authority.members.map(member))
  );
}

const sameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && [...a].sort().join() === [...b].sort().join();

const refuseGenesis = (rule: string): LobbyReply => ({
  kind: 'refused',
  refusal: { kind: 'notAllowed', rule },
});

/** A network has both: its file, and a state that verifies under its key. */
function loadCreatedNetwork(folder: DataFolder, identity: NodeIdentity): CreatedNetwork | null {
  const network = loadNetwork(folder);
  if (network === null) return null;
  const signed = loadAuthority(identity);
  // Bytes from our own disk are verified like a peer's.
  if (signed === null || !verifySignedAuthority(blsSuite, network.anchor, signed).ok) {
    throw folderProblem('broken', folder.path);
  }
  return { ...network, signed };
}
