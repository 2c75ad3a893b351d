/** The encrypted upload plans of a Safe on this device: stored by pass 1, loaded after a restart. */
import { toHex } from '#core/codec/bytes.ts';
import { decryptWithNonce, encryptWithNonce } from '#runtime/jobs/ciphers.ts';
import { indexContext } from '#safe/credentials/derive-root-keys.ts';
import {
  decodeUploadPlan,
  encodeUploadPlan,
  storedBytes,
  type UploadPlan,
} from '#safe/upload/upload-plan.ts';
import type { OpenSafe } from '../session/open-safe.ts';
import { createTransfer, type Transfer } from './transfer.ts';

/** The plan is gone: a person cancelled the upload in another tab. */
export class CancelledInOtherTab extends Error {}

/** Durable before the first chunk is sent: otherwise its secret could be lost with it. */
export async function storePlan(
  safe: OpenSafe,
  { id, cancelled }: Transfer,
  plan: UploadPlan,
): Promise<void> {
  const { ports } = safe.session.context;
  const sealed = await encryptWithNonce(
    safe.keys.plans.reveal(),
    ports.randomBytes(12),
    encodeUploadPlan(plan),
    planContext(safe),
  );
  // No await in between: a later cancel deletes after this write, an earlier one prevents it.
  cancelled.signal.throwIfAborted();
  await ports.store.putPlan({
    id,
    owner: safe.owner,
    network: safe.known.network?.networkId ?? null,
    sealed,
  });
}

/** From the first stored piece on, a plan belongs to the network that stores it. */
export async function bindPlanToNetwork(safe: OpenSafe, transfer: Transfer): Promise<void> {
  const { store } = safe.session.context.ports;
  const { network } = safe.known;
  const plan = await store.getPlan(transfer.id);
  if (plan === undefined) throw new CancelledInOtherTab();
  if (network === null || plan.network === network.networkId) return;
  // Pieces marked by version 0.1, on an unknown network, are dropped with the plan.
  if (plan.network === undefined && transfer.stored.size === 0) await store.deletePlan(plan.id);
  await store.putPlan({ ...plan, network: network.networkId });
}

/** Uploads of this Safe that a closed tab left unfinished. */
export async function loadTransfers(safe: OpenSafe): Promise<readonly Transfer[]> {
  const { ports } = safe.session.context;
  const { index, network } = safe.known;
  const loaded: Transfer[] = [];
  const isOnlySafe =
    (await ports.store.listSafes()).filter(({ owner }) => owner === safe.owner).length < 2;
  for (const { id, sealed, network: boundNetwork } of await ports.store.listPlans(safe.owner)) {
    // Its pieces are on another network, where the same phrase is another Safe.
    if (typeof boundNetwork === 'string' && boundNetwork !== network?.networkId) continue;
    const bytes = await decryptWithNonce(safe.keys.plans.reveal(), sealed, planContext(safe));
    const plan = bytes === null ? null : decodeUploadPlan(bytes);
    // Of another password or another version of the app: do not judge or delete it.
    if (plan === null || !plan.ok) continue;
    if (index.files.has(toHex(plan.value.fileId))) {
      // Finished except for its removal, which can wait for the next time.
      await ports.store.deletePlan(id).catch(() => undefined);
      continue;
    }
    const { name, size } = plan.value;
    const transfer = createTransfer(id, name, size, ports.now, safe.session.closed);
    transfer.plan = plan.value;
    // A plan of version 0.1 does not contain the network of its pieces.
    if (typeof boundNetwork === 'string' || (boundNetwork === undefined && isOnlySafe)) {
      for (const [piece, chunkName] of await ports.store.listPieces(id)) {
        if (piece < plan.value.plainHashes.length) transfer.stored.set(piece, chunkName);
      }
    }
    transfer.meter.update(storedBytes(plan.value, transfer.stored));
    transfer.setState('needsFile', '');
    loaded.push(transfer);
  }
  return loaded;
}

const planContext = (safe: OpenSafe): Uint8Array => indexContext(safe.strong.owner);
