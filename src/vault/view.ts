/** The page's view: rebuilt from the vault's state, without secrets. */
import type { FileView, MoneyView, VaultView } from '#bridge/vault.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { FileEntry } from '#safe/index/file-entry.ts';
import { listFiles } from '#safe/index/index-set.ts';
import type { PinnedNetwork } from '#storage/browser/vault-store.ts';
import { isOtherNetwork } from './context.ts';
import type { OpenSafe } from './session/open-safe.ts';
import type { Uploads } from './files/uploads.ts';

/** The visible part of a Safe stored on this device: never a copy of the record. */
export interface RememberedSafe {
  readonly id: string;
  readonly owner: string;
  readonly fingerprint: string;
  readonly network: PinnedNetwork | null;
}

const noMoney: MoneyView = {
  balance: '0',
  readable: true,
  address: '',
  addressWords: '',
  payments: [],
  faucet: false,
  notice: '',
};

export function buildView(
  ready: boolean,
  remembered: RememberedSafe | null,
  open: { readonly safe: OpenSafe; readonly uploads: Uploads } | null,
  served: PinnedNetwork | null,
): VaultView {
  if (!ready) return { kind: 'starting' };
  const network = (open === null ? remembered?.network : open.safe.known.network) ?? null;
  if (network !== null && served !== null && isOtherNetwork(network, served)) {
    return { kind: 'otherNetwork', pinned: networkView(network), served: networkView(served) };
  }
  if (open === null) {
    if (remembered === null) return { kind: 'none' };
    return { kind: 'locked', fingerprint: remembered.fingerprint };
  }
  const { safe, uploads } = open;
  return {
    kind: 'open',
    fingerprint: safe.strong.fingerprint,
    published: safe.known.published ? 'published' : 'waiting',
    files: listFiles(safe.known.index, false).map(fileView),
    removedFiles: listFiles(safe.known.index, true).map(fileView),
    transfers: uploads.views(),
    money: safe.wallet?.view() ?? noMoney,
    notice: safe.notice,
  };
}

const fileView = ({ id, name, size, type, addedAt }: FileEntry): FileView => ({
  id: toHex(id),
  name,
  size,
  type,
  addedAt,
});

const networkView = ({ name, networkId }: PinnedNetwork) => ({ name, networkId });
