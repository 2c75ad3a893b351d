/** A folder for one run of the end-to-end tests, with the network that they share. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sharedNetworkVariable } from './network.ts';

export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'safe-nursery-'));
  process.env[sharedNetworkVariable] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
