/** Removes a Safe and its unfinished uploads from this device. */
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { VaultFailure } from './failure.ts';
import type { VaultPorts } from './ports.ts';
import { storeLock, type OpenSafe } from './session/open-safe.ts';

/** A Safe's data on this device, and its keys there. */
export interface DeviceCopy {
  readonly id: string | null;
  readonly owner: string;
  readonly network: PinnedNetwork | null;
}

export const deviceCopyOf = ({ recordId, owner, known }: OpenSafe): DeviceCopy => ({
  id: recordId,
  owner,
  network: known.network,
});

export async function forgetOnDevice(
  { withLock, store, announce }: VaultPorts,
  { id, owner, network }: DeviceCopy,
  evenUnsaved: boolean,
): Promise<void> {
  await withLock(storeLock(owner), async () => {
    const record = id === null ? undefined : await store.getSafe(id);
    if (record?.published === false && !evenUnsaved) throw notSaved();
    const others = (await store.listSafes()).some((each) => each.owner === owner && each.id !== id);
    for (const plan of await store.listPlans(owner)) {
      const bound = plan.network ?? null;
      // Of the same phrase on another or an unknown network: do not delete it.
      if (bound === null ? others : bound !== network?.networkId) continue;
      await store.deletePlan(plan.id);
    }
    if (id !== null) await store.deleteSafe(id);
  });
  announce(owner);
}

const notSaved = (): VaultFailure =>
  new VaultFailure(
    'busy',
    'Something in this Safe is only on this device so far. Wait until it is on the network, or say that it may be lost.',
  );
