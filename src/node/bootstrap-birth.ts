/**
 * The founding of a network as `safe network create` sees it: who came, who was invited, and of which
 * network five founders say that it is born.
 */
import { randomBytes } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import { blsSuite } from '#crypto/threshold-suite.ts';
import { genesisKeyPair } from '#money/keys.ts';
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
import { createGathering, type Gathering } from './lobby.ts';
import type { Log } from './log.ts';
import { firstSupply, makeNetworkFile, type KeptNetworkFile } from './network-file.ts';
import {
  keepAuthority,
  keepInvitation,
  keepNetwork,
  keptAuthority,
  keptInvitation,
  keptNetwork,
  recordIn,
} from './network-folder.ts';
import type { NodeIdentity } from './node-folder.ts';
import { progress } from './program.ts';

export interface BornNetwork {
  readonly file: KeptNetworkFile;
  readonly anchor: TrustAnchor;
  readonly signed: SignedAuthority;
}

export interface Founding {
  readonly arrive: Gathering['arrive'];
  readonly born: (bytes: Uint8Array, from: Uint8Array) => Promise<LobbyReply>;
  readonly network: () => BornNetwork | null;
  readonly whenBorn: Promise<BornNetwork>;
}

/** What a founder may say that is not the birth of this network, before it is not looked at any more. */
const maxWrongBirths = 3;

/** Errors: throws a Problem when the folder keeps a network that does not verify. */
export function found(
  command: {
    readonly name: string | null;
    readonly elders: number;
    readonly adults: number;
  },
  folder: DataFolder,
  identity: NodeIdentity,
  faucetSeed: Uint8Array,
  log: Log,
): Founding {
  let network = bornNetwork(folder, identity);
  let settle: (born: BornNetwork) => void = () => undefined;
  const whenBorn = new Promise<BornNetwork>((done) => {
    settle = done;
  });
  if (network !== null) settle(network);
  /** By founder: the hash of the one birth that it told, which verified. */
  const told = new Map<string, string>();
  const wrong = new Map<string, number>();

  const gathering = createGathering({
    kept: keptInvitation(folder),
    elders: command.elders,
    adults: command.adults,
    make: (elders, adults): Invitation => ({
      networkName: command.name ?? `local-${randomBytes(3).toString('hex')}`,
      nonce: new Uint8Array(randomBytes(32)),
      elders,
      adults,
      genesisOutput: { oneTimeKey: genesisKeyPair(faucetSeed).oneTimeKey, amount: firstSupply },
    }),
    keep: (invitation) => {
      keepInvitation(folder, invitation);
      progress('All founders are here: they make the key of the network …');
    },
    onArrival: (arrived, wanted) => {
      log.write({ event: 'arrived', count: arrived });
      progress(`${arrived} of ${wanted} founders are here.`);
    },
  });

  const born = async (bytes: Uint8Array, from: Uint8Array): Promise<LobbyReply> => {
    const invitation = gathering.invitation();
    if (invitation === null) return refusedBirth('malformed');
    const founder = nameToId(from);
    const isFounder = invitation.elders.some(
      ({ record }) => nameToId(recordIn(record).name) === founder,
    );
    if (!isFounder) return refusedBirth('notInvited');
    const hash = toHex(sha256(bytes));
    const before = told.get(founder);
    if (before !== undefined && before !== hash) return refusedBirth('otherBirth');
    if ((wrong.get(founder) ?? 0) >= maxWrongBirths) return refusedBirth('wrongBirth');
    const signed = decodeSignedAuthority(bytes);
    // The same bytes need no second check; other bytes get one, whatever key they name.
    const isKnown = [...told.values()].includes(hash);
    if (!signed.ok || !(isKnown || isBirthOf(invitation, signed.value))) {
      wrong.set(founder, (wrong.get(founder) ?? 0) + 1);
      return refusedBirth(signed.ok ? 'wrongBirth' : 'malformed');
    }
    told.set(founder, hash);
    const count = [...told.values()].filter((each) => each === hash).length;
    if (network === null && count >= SHARES_REQUIRED) {
      const file = makeNetworkFile(invitation.networkName, signed.value.authority.key, firstSupply);
      keepAuthority(identity, signed.value);
      keepNetwork(folder, file);
      network = bornNetwork(folder, identity);
      if (network !== null) settle(network);
    }
    return { kind: 'heard', count };
  };

  return { arrive: gathering.arrive, born, network: () => network, whenBorn };
}

/**
 * The anchor of a newborn network is its own key; that five founders tell the same bytes makes it one.
 * All else in them is what the invitation asked for.
 */
function isBirthOf(invitation: Invitation, signed: SignedAuthority): boolean {
  const { authority } = signed;
  const anchor = {
    genesisKey: authority.key,
    networkId: networkIdOf(authority.key, invitation.networkName),
  };
  return (
    signed.chain.length === 0 &&
    wasInvited(invitation, authority) &&
    verifySignedAuthority(blsSuite, anchor, signed).ok
  );
}

function wasInvited(invitation: Invitation, authority: SectionAuthority): boolean {
  const { elders, adults, genesisOutput } = invitation;
  const founder = ({ record, sharingKey }: Invitation['elders'][number]): string =>
    `${nameToId(recordIn(record).name)} ${toHex(sharingKey)}`;
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
      elders.map(({ record }) => nameToId(recordIn(record).name)),
      authority.elders.map(({ name }) => nameToId(name)),
    ) &&
    sameSet([...elders, ...adults].map(founder), authority.members.map(member))
  );
}

const sameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && [...a].sort().join() === [...b].sort().join();

const refusedBirth = (rule: string): LobbyReply => ({
  kind: 'refused',
  refusal: { kind: 'notAllowed', rule },
});

/** A network has both: its file, and a state that follows from its key. */
function bornNetwork(folder: DataFolder, identity: NodeIdentity): BornNetwork | null {
  const network = keptNetwork(folder);
  if (network === null) return null;
  const signed = keptAuthority(identity);
  // What lies on our own disk is checked like anybody else's bytes.
  if (signed === null || !verifySignedAuthority(blsSuite, network.anchor, signed).ok) {
    throw folderProblem('broken', folder.path);
  }
  return { ...network, signed };
}
