/** The files that a program keeps of its network in its data folder, so that it can restart. */
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
import { FileProblem, folderProblem } from '#storage/node/problem.ts';
import { parseSavedNetworkFile, type SavedNetworkFile } from '#roles/wire/network-file.ts';
import type { NodeIdentity } from './node-identity.ts';
import type { NodePorts } from '../peers/listen-ports.ts';

const portsFile = 'ports.json';
const invitationFile = 'invitation';
const networkFile = 'network.json';
const authorityFile = 'authority';

type PortsByLabel = Readonly<Record<string, NodePorts | undefined>>;

/** Remembered ports are a convenience: without a readable file new ones are chosen. */
export function loadPorts(folder: DataFolder): PortsByLabel {
  try {
    const value: unknown = JSON.parse(folder.readText(portsFile) ?? '{}');
    return typeof value === 'object' && value !== null ? (value as PortsByLabel) : {};
  } catch {
    return {};
  }
}

export const savePorts = (folder: DataFolder, ports: PortsByLabel): void =>
  folder.writeText(portsFile, `${JSON.stringify(ports, null, 2)}\n`);

/** Errors: throws a Problem when the file contradicts itself. */
export function loadNetwork(
  folder: DataFolder,
): { readonly file: SavedNetworkFile; readonly anchor: TrustAnchor } | null {
  const text = folder.readText(networkFile);
  if (text === null) return null;
  const parsed = parseSavedNetworkFile(text);
  if (parsed === undefined) throw folderProblem('broken', folder.path);
  return parsed;
}

/** Written last at genesis: without it there is no network. */
export const saveNetwork = (folder: DataFolder, file: SavedNetworkFile): void =>
  folder.writeText(networkFile, `${JSON.stringify(file, null, 2)}\n`);

/** Errors: throws a Problem when it is damaged. */
export function loadInvitation(folder: DataFolder): Invitation | null {
  const text = folder.readText(invitationFile);
  if (text === null) return null;
  const bytes = fromHex(text.trim());
  const invitation = bytes.ok ? decodeInvitation(bytes.value) : bytes;
  if (!invitation.ok) throw folderProblem('broken', folder.path);
  return invitation.value;
}

export const saveInvitation = (folder: DataFolder, invitation: Invitation): void =>
  folder.writeText(invitationFile, `${toHex(encodeInvitation(invitation))}\n`);

export const deleteInvitation = (folder: DataFolder): void =>
  rmSync(join(folder.path, invitationFile), { force: true });

/**
 * The genesis state, or the newest state that a bootstrap node has received. Errors: throws a Problem
 * when it is damaged: null would let an elder start without its share of the section's key.
 */
export function loadAuthority(identity: NodeIdentity): SignedAuthority | null {
  const path = join(identity.folder, authorityFile);
  if (!existsSync(path)) return null;
  const decoded = decodeSignedAuthority(new Uint8Array(readFileSync(path)));
  if (!decoded.ok) throw folderProblem('broken', identity.folder);
  return decoded.value;
}

export const saveAuthority = (identity: NodeIdentity, signed: SignedAuthority): void =>
  replaceFile(join(identity.folder, authorityFile), encodeSignedAuthority(signed), 0o600);

/** Errors: throws a Problem when the invitation contains bytes that are not an address record. */
export function invitedRecord(bytes: Uint8Array): AddressRecord {
  const record = decodeAddressRecord(bytes);
  if (!record.ok) throw new FileProblem('broken', 'The invitation is damaged.');
  return record.value;
}
