/** Asks the faucet of the network served here, if it has one, for test money. */
import { VaultFailure } from '../failure.ts';
import { loadServedNetwork } from '../network/served-network.ts';
import type { WalletContext } from '../ports.ts';

export interface FaucetClient {
  /** Does the network have a faucet, by the last network file read? */
  readonly isKnown: () => boolean;
  /** Reads the network file. @returns the faucet's path, or `null` if there is none */
  readonly lookUp: () => Promise<string | null>;
  /** Errors: throws VaultFailure when there is no faucet, or it does not answer, or it refuses. */
  readonly request: (address: () => string) => Promise<void>;
}

export function createFaucetClient({ ports }: Pick<WalletContext, 'ports'>): FaucetClient {
  let path: string | null = null;
  const lookUp = async (): Promise<string | null> => {
    const served = await loadServedNetwork(ports.fetch);
    if (served !== null) path = served.faucet;
    return path;
  };
  return {
    isKnown: () => path !== null,
    lookUp,
    request: async (address) => {
      const faucet = await lookUp();
      if (faucet === null) {
        throw new VaultFailure(
          'networkRefused',
          'This network has no faucet. Ask somebody to pay you.',
        );
      }
      const response = await post(ports, faucet, address());
      if (response.ok) return;
      const reply = (await response.json().catch(() => ({}))) as { readonly message?: unknown };
      const message = typeof reply.message === 'string' ? reply.message : '';
      throw new VaultFailure(
        'networkRefused',
        message || 'The faucet refused. Try again in a minute.',
      );
    },
  };
}

async function post(
  ports: WalletContext['ports'],
  path: string,
  address: string,
): Promise<Response> {
  try {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ address });
    return await ports.fetch(path, { method: 'POST', headers, body });
  } catch {
    throw new VaultFailure(
      'offline',
      'The faucet does not answer. Check your connection and try again.',
    );
  }
}
