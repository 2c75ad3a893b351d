/** Starts and connects the parts that run while a Safe is open. */
import { equalBytes } from '#core/codec/bytes.ts';
import { withWallet } from '#safe/index/index-set.ts';
import { openDownloads, type Downloads } from './files/downloads.ts';
import { openUploads, type Uploads } from './files/uploads.ts';
import { commitChange, startIndexSync, type IndexSync } from './session/index-sync.ts';
import type { OpenSafe } from './session/open-safe.ts';

/** The parts that run while a Safe is open. */
export interface RunningSafe {
  readonly safe: OpenSafe;
  readonly uploads: Uploads;
  readonly downloads: Downloads;
  readonly sync: IndexSync;
}

/** Starts everything that runs while the Safe is open. */
export async function startParts(safe: OpenSafe): Promise<RunningSafe> {
  const { context, closed } = safe.session;
  const { ports, rpc } = context;
  const parts: { sync?: IndexSync } = {};
  const uploads = await openUploads(safe, () => parts.sync?.request());
  if (ports.wallets !== null) {
    safe.wallet = await ports.wallets.open({
      seed: safe.keys.wallet,
      section: safe.known.index.wallet,
      owner: safe.owner,
      device: safe.device,
      network: () => safe.known.network,
      update: async (change) => {
        const { wallet } = await commitChange(safe, (index) => {
          const section = change(index.wallet);
          if (equalBytes(section, index.wallet)) return index;
          // Here, where changes are serialised: the wallet must not get an older change.
          safe.walletSection = section;
          return withWallet(index, section);
        });
        parts.sync?.request();
        return wallet;
      },
      changed: context.changed,
      rpc,
      ports,
      closed,
    });
  }
  const sync = startIndexSync(safe, () => uploads.wake());
  parts.sync = sync;
  return { safe, uploads, downloads: openDownloads(safe), sync };
}
