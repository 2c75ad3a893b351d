/** Restarts the service worker of one tab again and again, as browsers do. */
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import {
  addFile,
  callWorker,
  download,
  elderNames,
  goTo,
  makeFile,
  networkStatus,
  openPeerConnections,
  stopWorker,
  waitForStored,
} from './person.ts';

/** Stored and read after the restarts. */
export const restartsFile = makeFile(4 * 1024 * 1024, 'restarts');

/** A running worker opens at most this many, and one that ends at once fewer. */
const maxConnectionsPerRun = 3;

/** Leaves the page at Files. */
export async function restartWorker(page: Page, times: number): Promise<void> {
  const seen = new Set<string>();
  const names = await elderNames(page);
  for (let time = 0; time < times; time++) {
    // The shortest call that needs an elder, a different one each time.
    const elder = names[time % names.length] ?? new Uint8Array();
    await callWorker(page, 'outputs', { elder, after: 0 });
    const status = await networkStatus(page);
    seen.add(status.instance);
    await stopWorker(page);
  }
  expect(seen.size).toBe(times);
  await goTo(page, 'Files');
  await addFile(page, restartsFile.path);
  await waitForStored(page, restartsFile.name);
  expect(await download(page, restartsFile.name)).toBe(restartsFile.sha256);
  const status = await networkStatus(page);
  const transports = status.section?.elders.map(({ transport }) => transport) ?? [];
  expect(transports.some((transport) => transport === 'relayed' || transport === 'direct')).toBe(
    true,
  );
  // Seven of the last worker, and those of the visit before.
  expect(status.rtc.used).toBeLessThan(14 + maxConnectionsPerRun * times);
  // The host closes a stopped worker's connections: only the running one's are open.
  expect(status.rtc.open).toBeGreaterThan(0);
  expect(status.rtc.open).toBeLessThanOrEqual(7);
  expect(await openPeerConnections(page)).toBe(status.rtc.open);
}
