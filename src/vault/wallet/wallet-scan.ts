/** Looks for incoming payments, now and periodically, and stores what it finds. */
import { mergeWallets } from '#safe/wallet/index.ts';
import { toVaultError } from '../failure.ts';
import { RpcFailure } from '../network/worker-rpc.ts';
import type { WalletContext } from '../ports.ts';
import type { IncomingPayments } from './incoming-payments.ts';
import type { OutgoingPayments } from './outgoing-payments.ts';
import { incomingNotSaved } from './payment-sentences.ts';
import type { StoredWallet } from './stored-wallet.ts';

export interface WalletScan {
  readonly now: () => Promise<void>;
  /** Runs until the Safe is locked. */
  readonly runPeriodically: () => Promise<void>;
  /** A sentence about received money that could not be stored; empty if none waits. */
  readonly unsaved: () => string;
}

/** @param pauseMs the time between two periodic scans */
export function createWalletScan(
  { closed, changed, ports }: Pick<WalletContext, 'closed' | 'changed' | 'ports'>,
  wallet: StoredWallet,
  outgoing: OutgoingPayments,
  incoming: IncomingPayments,
  pauseMs: () => number,
): WalletScan {
  let unsaved = '';
  const setUnsaved = (sentence: string): void => {
    if (closed.aborted || sentence === unsaved) return;
    unsaved = sentence;
    changed();
  };
  const now = async (): Promise<void> => {
    outgoing.resume();
    await incoming.scanLists(wallet.state(), (found) =>
      wallet
        .change((stored) => mergeWallets(stored, found))
        .catch((error: unknown) => {
          const reason = error instanceof RpcFailure ? error.message : toVaultError(error).message;
          // The list position may be lost: the list is then read from further back.
          if (found.coins.size > wallet.state().coins.size) setUnsaved(incomingNotSaved(reason));
          throw error;
        }),
    );
    setUnsaved('');
  };
  return {
    now,
    runPeriodically: async () => {
      while (!closed.aborted) {
        // If the network is unreachable, the exchange has a notice; a failed save has its own.
        await now().catch(() => undefined);
        await ports.wait(pauseMs(), closed);
      }
    },
    unsaved: () => unsaved,
  };
}
