/** What a founder reads in its invitation, and what it does with the birth it helped to make. */
import { nameToId, toXorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import { blsScalars } from '#crypto/bls.ts';
import type { ThresholdSuite } from '#crypto/threshold-suite.ts';
import type { NodeHost } from '#network/node-host.ts';
import { realSuites } from '#protocol/dkg/index.ts';
import {
  ELDER_COUNT,
  SHARES_REQUIRED,
  encodeSignedAuthority,
  verifySignedAuthority,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import type { GenesisConfig } from '#roles/genesis/index.ts';
import { genesisState } from '#roles/section-node/first-hint.ts';
import type { Invitation } from '#roles/wire/lobby.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { folderProblem } from '#storage/node/problem.ts';
import { askLobby, type JoinPoint } from './arrival.ts';
import type { Founder } from './founder.ts';
import { makeNetworkFile, type KeptNetworkFile } from './network-file.ts';
import {
  forgetInvitation,
  keepAuthority,
  keepNetwork,
  keptAuthority,
  recordIn,
} from './network-folder.ts';
import { readSecret, writeSecret, type NodeIdentity } from './node-folder.ts';

/** The share that the birth gave a founder. */
export const shareFile = 'share.key';
export const gossipEveryMs = 500;

/** The share first, the network's file last: without that there is no birth. */
export function keepBirth(
  folder: DataFolder,
  identity: NodeIdentity,
  invitation: Invitation,
  born: { readonly signed: SignedAuthority; readonly secretShare: Uint8Array },
): KeptNetworkFile {
  writeSecret(identity.folder, shareFile, born.secretShare);
  keepAuthority(identity, born.signed);
  const supply = invitation.genesisOutput?.amount ?? 0n;
  const file = makeNetworkFile(invitation.networkName, born.signed.authority.key, supply);
  keepNetwork(folder, file);
  return file;
}

/**
 * What {@link keepBirth} left of the section's key; null for a node that is no founding elder, or no
 * longer under that name. Errors: throws a Problem when a part is damaged or gone: an elder that went
 * on without its share would look alive and sign nothing.
 */
export function keptBirth(
  identity: NodeIdentity,
  anchor: TrustAnchor,
  suite: ThresholdSuite,
): {
  readonly sealed: Uint8Array;
  readonly secretShare: Uint8Array;
  readonly index: number;
} | null {
  const secretShare = readSecret(identity.folder, shareFile);
  const founded = keptAuthority(identity);
  if (secretShare === null && founded === null) return null;
  const self = nameToId(identity.name);
  const elder = founded?.authority.elders.find(({ name }) => nameToId(name) === self);
  if (founded !== null && elder === undefined) return null;
  const isWhole =
    founded !== null &&
    elder !== undefined &&
    secretShare !== null &&
    (blsScalars.decode(secretShare) ?? 0n) !== 0n &&
    equalBytes(suite.publicKey(secretShare), elder.publicShare) &&
    verifySignedAuthority(suite, anchor, founded).ok;
  if (!isWhole) throw folderProblem('broken', identity.folder);
  return { sealed: genesisState(founded), secretShare, index: elder.index };
}

/** Founders that are late may still need our answers for so long, once five are born. */
export const lateFoundersMs = 10 * 60_000;
/** What a birth needed does not stay on a disk for longer, whoever is silent or lies. */
export const birthSecretsMs = 6 * 3_600_000;
const longestPauseMs = 30_000;

/** May what the birth needed be erased, when so many are born and we are for so long? */
export const isBirthOver = (heard: number, bornForMs: number): boolean =>
  heard >= ELDER_COUNT ||
  (heard >= SHARES_REQUIRED && bornForMs >= lateFoundersMs) ||
  bornForMs >= birthSecretsMs;

/** Until all seven are born somebody may need our answers; then what the birth needed is erased. */
export async function tellBirth(
  host: NodeHost,
  at: JoinPoint,
  signed: SignedAuthority,
  founder: Founder,
  folder: DataFolder,
): Promise<void> {
  const authority = encodeSignedAuthority(signed);
  const bornAt = Date.now();
  for (let pauseMs = 1_000; ; pauseMs = Math.min(longestPauseMs, 1.2 * pauseMs)) {
    const reply = await askLobby(host, at, { kind: 'born', authority });
    const heard = reply?.kind === 'heard' ? reply.count : 0;
    if (isBirthOver(heard, Date.now() - bornAt)) break;
    await new Promise((go) => setTimeout(go, pauseMs).unref());
  }
  founder.stop();
  await founder.forget();
  forgetInvitation(folder);
}

export const namesIn = (invitation: Invitation): readonly Uint8Array[] =>
  invitation.elders.map(({ record }) => recordIn(record).name);

export function addressesIn(invitation: Invitation): (name: Uint8Array) => readonly string[] {
  const known = new Map(
    invitation.elders.map(({ record }) => {
      const { name, addresses } = recordIn(record);
      return [nameToId(name), addresses] as const;
    }),
  );
  return (name) => known.get(nameToId(name)) ?? [];
}

/** The same for all seven, from the invitation alone (genesis README). */
export const genesisConfigOf = (
  invitation: Invitation,
): Omit<GenesisConfig, 'self' | 'identitySeed' | 'sharingSecret'> => ({
  candidates: namesIn(invitation).map(toXorName),
  adults: invitation.adults.map(({ record }) => toXorName(recordIn(record).name)),
  sharingKeys: new Map(
    [...invitation.elders, ...invitation.adults].map(({ record, sharingKey }) => [
      nameToId(recordIn(record).name),
      sharingKey,
    ]),
  ),
  networkName: invitation.networkName,
  nonce: invitation.nonce,
  genesisOutput: invitation.genesisOutput,
  gossipEveryMs,
  suites: realSuites,
});
