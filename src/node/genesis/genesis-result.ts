/** What a founder reads from its invitation, saves of the genesis result and reports to the join point. */
import { nameToId, toXorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { blsScalars } from '#crypto/bls.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { NodeHost } from '#network/node-host.ts';
import { productionSuites } from '#protocol/dkg/index.ts';
import {
  ELDER_COUNT,
  SHARES_REQUIRED,
  encodeSignedAuthority,
  verifySignedAuthority,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import type { GenesisConfig } from '#roles/genesis/index.ts';
import { genesisState } from '#roles/section-node/joining/first-state-hint.ts';
import type { Invitation } from '#roles/wire/lobby.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { folderProblem } from '#storage/node/problem.ts';
import { queryLobby, type JoinPoint } from '../joining/network-join.ts';
import type { Founder } from './founder.ts';
import { makeNetworkFile, type SavedNetworkFile } from '#roles/wire/network-file.ts';
import {
  deleteInvitation,
  saveAuthority,
  saveNetwork,
  loadAuthority,
  invitedRecord,
} from '../data-folder/saved-network.ts';
import { readSecret, writeSecret, type NodeIdentity } from '../data-folder/node-identity.ts';

/** A founder's share of the genesis key. */
export const shareFile = 'share.key';
export const gossipEveryMs = 500;

/** Saves the share first and the network's file last: the network exists once that is written. */
export function saveGenesis(
  folder: DataFolder,
  identity: NodeIdentity,
  invitation: Invitation,
  created: { readonly signed: SignedAuthority; readonly secretShare: Uint8Array },
): SavedNetworkFile {
  writeSecret(identity.folder, shareFile, created.secretShare);
  saveAuthority(identity, created.signed);
  const supply = invitation.genesisOutput?.amount ?? 0n;
  const file = makeNetworkFile(invitation.networkName, created.signed.authority.key, supply);
  saveNetwork(folder, file);
  return file;
}

/**
 * The section's key as {@link saveGenesis} stored it; null for a node that is not a founding elder, or
 * no longer under that name. Errors: throws a Problem when a part is damaged or missing: an elder
 * without its share would look responsive and sign nothing.
 */
export function loadGenesis(
  identity: NodeIdentity,
  anchor: TrustAnchor,
  suite: ThresholdSuite,
): {
  readonly sealed: Uint8Array;
  readonly secretShare: Uint8Array;
  readonly index: number;
} | null {
  const secretShare = readSecret(identity.folder, shareFile);
  const signed = loadAuthority(identity);
  if (secretShare === null && signed === null) return null;
  const self = nameToId(identity.name);
  const elder = signed?.authority.elders.find(({ name }) => nameToId(name) === self);
  if (signed !== null && elder === undefined) return null;
  const isWhole =
    signed !== null &&
    elder !== undefined &&
    secretShare !== null &&
    (blsScalars.decode(secretShare) ?? 0n) !== 0n &&
    equalBytes(suite.publicKey(secretShare), elder.publicShare) &&
    verifySignedAuthority(suite, anchor, signed).ok;
  if (!isWhole) throw folderProblem('broken', identity.folder);
  return { sealed: genesisState(signed), secretShare, index: elder.index };
}

/** For this long after five founders are done, late ones may still need our answers. */
export const lateFoundersMs = 10 * 60_000;
/** Genesis secrets are erased after this at the latest, even if founders stay unresponsive or lie. */
export const genesisSecretsMs = 6 * 3_600_000;
const longestPauseMs = 30_000;

/** May the genesis facts be erased, given the founders done and the time since we were? */
export const isGenesisOver = (counted: number, createdForMs: number): boolean =>
  counted >= ELDER_COUNT ||
  (counted >= SHARES_REQUIRED && createdForMs >= lateFoundersMs) ||
  createdForMs >= genesisSecretsMs;

/** Answers late founders until all seven are done or time is up, then erases the genesis facts. */
export async function announceGenesis(
  host: NodeHost,
  at: JoinPoint,
  signed: SignedAuthority,
  founder: Founder,
  folder: DataFolder,
): Promise<void> {
  const authority = encodeSignedAuthority(signed);
  const createdAtMs = Date.now();
  for (let pauseMs = 1_000; ; pauseMs = Math.min(longestPauseMs, 1.2 * pauseMs)) {
    const reply = await queryLobby(host, at, { kind: 'keyReady', authority });
    const counted = reply?.kind === 'counted' ? reply.count : 0;
    if (isGenesisOver(counted, Date.now() - createdAtMs)) break;
    await new Promise((go) => setTimeout(go, pauseMs).unref());
  }
  founder.stop();
  await founder.eraseFacts();
  deleteInvitation(folder);
}

export const founderNamesIn = (invitation: Invitation): readonly Uint8Array[] =>
  invitation.elders.map(({ record }) => invitedRecord(record).name);

export function founderAddressesIn(
  invitation: Invitation,
): (name: Uint8Array) => readonly string[] {
  const known = new Map(
    invitation.elders.map(({ record }) => {
      const { name, addresses } = invitedRecord(record);
      return [nameToId(name), addresses] as const;
    }),
  );
  return (name) => known.get(nameToId(name)) ?? [];
}

/** Identical for all seven, from the invitation alone (genesis README). */
export const genesisConfigOf = (
  invitation: Invitation,
): Omit<GenesisConfig, 'self' | 'identitySeed' | 'sharingSecret'> => ({
  candidates: founderNamesIn(invitation).map(toXorName),
  adults: invitation.adults.map(({ record }) => toXorName(invitedRecord(record).name)),
  sharingKeys: new Map(
    [...invitation.elders, ...invitation.adults].map(({ record, sharingKey }) => [
      nameToId(invitedRecord(record).name),
      sharingKey,
    ]),
  ),
  networkName: invitation.networkName,
  nonce: invitation.nonce,
  genesisOutput: invitation.genesisOutput,
  gossipEveryMs,
  suites: productionSuites,
});
