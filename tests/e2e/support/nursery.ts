/** A folder for one run of the end-to-end tests: the network that they share is born in it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nurseryVariable } from './network.ts';

export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'safe-nursery-'));
  process.env[nurseryVariable] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
