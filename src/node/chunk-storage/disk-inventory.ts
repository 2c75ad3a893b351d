/** Lists the disk for the replication machine, and reports when a full disk has room again. */
import type { Holdings } from './holdings.ts';
import type { ReplicationMachine } from './replication-machine.ts';

/** The pause between two listings of a failing disk doubles up to this. */
const longestScanPauseMs = 60_000;
const longer = (pauseMs: number): number => Math.min(2 * pauseMs, longestScanPauseMs);

/**
 * Starts to list the disk. @returns `complete` resolves when the whole disk is listed.
 * @param checkMs how often a disk that is full or could not be read is checked again
 */
export function startInventory(
  holdings: Holdings,
  machine: ReplicationMachine,
  checkMs: number,
): { readonly complete: Promise<void>; readonly stop: () => void } {
  const walkDisk = async (): Promise<void> => {
    for await (const items of holdings.pages()) {
      if (machine.isStopped()) return;
      machine.input({ kind: 'found', items });
      await machine.idle();
    }
    machine.input({ kind: 'inventoryComplete' });
    await machine.idle();
  };
  /** This node repairs nothing until the listing is complete, so retry after a disk error. */
  const takeInventory = async (): Promise<void> => {
    for (let pauseMs = checkMs; !machine.isStopped(); pauseMs = longer(pauseMs)) {
      try {
        return await walkDisk();
      } catch (error) {
        machine.logFailure('inventoryFailed', error);
      }
      await new Promise((go) => setTimeout(go, pauseMs).unref());
    }
  };
  const complete = takeInventory();
  const roomTimer = setInterval(() => {
    const { ownDiskFull, inventory } = machine.state();
    // The used space is unknown until the disk is listed.
    if (!ownDiskFull.full || inventory.kind !== 'complete') return;
    holdings
      .hasRoom()
      .then((room) => room && machine.input({ kind: 'diskFreed' }))
      .catch((error: unknown) => machine.logFailure('roomCheckFailed', error));
  }, checkMs);
  roomTimer.unref();
  return { complete, stop: () => clearInterval(roomTimer) };
}
