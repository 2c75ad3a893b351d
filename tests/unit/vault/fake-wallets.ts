import type { WalletContext, WalletFactory } from '../../../src/vault/ports.ts';
import { bytesOfText, textOf } from './world.ts';

/** A wallet whose section is a sorted list of words. */
export function fakeWallets() {
  const contexts: WalletContext[] = [];
  const absorbed: string[] = [];
  /** The kinds of its requests, and 'refresh'. */
  const seen: string[] = [];
  const merge = (a: Uint8Array, b: Uint8Array): Uint8Array => {
    const words = new Set([...textOf(a).split(','), ...textOf(b).split(',')].filter(Boolean));
    return bytesOfText([...words].sort().join(','));
  };
  const factory: WalletFactory = {
    merge,
    open: async (context) => {
      contexts.push(context);
      let section = textOf(context.section);
      return {
        view: () => ({
          balance: String(section.split(',').length),
          readable: true,
          address: '',
          addressWords: '',
          payments: [],
          faucet: false,
          notice: '',
        }),
        ask: (request) => {
          seen.push(request.kind);
          return Promise.reject(new Error('the fake wallet answers nothing'));
        },
        absorb: (bytes) => {
          section = textOf(bytes);
          absorbed.push(section);
        },
        refresh: async () => void seen.push('refresh'),
      };
    },
  };
  return { factory, contexts, absorbed, seen };
}
