/** What a program keeps of its network in its data folder, so that a restart goes on from there. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import {
  decodeAddressRecord,
  decodeSignedAuthority,
  encodeSignedAuthority,
  type AddressRecord,
  type SignedAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { decodeInvitation, encodeInvitation, type Invitation } from '#roles/wire/lobby.ts';
import { replaceFile, type DataFolder } from '#storage/node/data-folder.ts';
import { folderProblem, Problem } from '#storage/node/problem.ts';
import { parseNetworkFile, type KeptNetworkFile } from './network-file.ts';
import type { NodeIdentity } from './node-folder.ts';
import type { NodePorts } from './ports.ts';

const portsFile = 'ports.json';
const invitationFile = 'invitation';
const networkFile = 'network.json';
const authorityFile = 'authority';

type PortsByLabel = Readonly<Record<string, NodePorts | undefined>>;

/** Remembered ports are a convenience: an unreadable file only costs new ones. */
export function keptPorts(folder: DataFolder): PortsByLabel {
  try {
    const value: unknown = JSON.parse(folder.readText(portsFile) ?? '{}');
    return typeof value === 'object' && value !== null ? (value as PortsByLabel) : {};
  } catch {
    return {};
  }
}

export const keepPorts = (folder: DataFolder, ports: PortsByLabel): void =>
  folder.writeText(portsFile, `${JSON.stringify(ports, null, 2)}\n`);

/** Errors: throws a Problem when the file contradicts itself. */
export function keptNetwork(
  folder: DataFolder,
): { readonly file: KeptNetworkFile; readonly anchor: TrustAnchor } | null {
  const text = folder.readText(networkFile);
  if (text === null) return null;
  const parsed = parseNetworkFile(text);
  if (parsed === undefined) throw folderProblem('broken', folder.path);
  return parsed;
}

/** Written last at a birth: without it there is no network. */
export const keepNetwork = (folder: DataFolder, file: KeptNetworkFile): void =>
  folder.writeText(networkFile, `${JSON.stringify(file, null, 2)}\n`);

/** Errors: throws a Problem when it is damaged. */
export function keptInvitation(folder: DataFolder): Invitation | null {
  const text = folder.readText(invitationFile);
  if (text === null) return null;
  const bytes = fromHex(text.trim());
  const invitation = bytes.ok ? decodeInvitation(bytes.value) : bytes;
  if (!invitation.ok) throw folderProblem('broken', folder.path);
  return invitation.value;
}

export const keepInvitation = (folder: DataFolder, invitation: Invitation): void =>
  folder.writeText(invitationFile, `${toHex(encodeInvitation(invitation))}\n`);

export const forgetInvitation = (folder: DataFolder): void =>
  rmSync(join(folder.path, invitationFile), { force: true });

/**
 * The state the network was born with, or the newest a bootstrap node has heard of. Errors: throws a
 * Problem when it is damaged: null would let an elder start without its share of the section's key.
 */
export function keptAuthority(identity: NodeIdentity): SignedAuthority | null {
  const path = join(identity.folder, authorityFile);
  if (!existsSync(path)) return null;
  const decoded = decodeSignedAuthority(new Uint8Array(readFileSync(path)));
  if (!decoded.ok) throw folderProblem('broken', identity.folder);
  return decoded.value;
}

export const keepAuthority = (identity: NodeIdentity, signed: SignedAuthority): void =>
  replaceFile(join(identity.folder, authorityFile), encodeSignedAuthority(signed), 0o600);

/** Errors: throws a Problem when an invitation names somebody in bytes that say nothing. */
export function recordIn(bytes: Uint8Array): AddressRecord {
  const record = decodeAddressRecord(bytes);
  if (!record.ok) throw new Problem('broken', 'The invitation is damaged: start again elsewhere.');
  return record.value;
}
