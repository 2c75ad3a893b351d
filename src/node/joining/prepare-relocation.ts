/** Makes a relocating node's new name and saves it before anything else happens. */
import type { Prefix } from '#address/prefix.ts';
import { grindingPrefix } from '#protocol/node-age/index.ts';
import { openNextIdentity } from '../data-folder/node-identity.ts';

const retryMs = 2_000;

export interface RelocationOptions {
  /** The folder of the node's identity. */
  readonly folder: string;
  readonly certificate: Uint8Array;
  readonly age: number;
  /** 32 bytes: the section that covers them admits the node. */
  readonly destination: Uint8Array;
  /** The prefix of that section, as far as this node knows. */
  readonly prefix: Prefix;
  readonly onError: (error: unknown) => void;
  /** For tests. */
  readonly retryMs?: number;
}

/**
 * Resolves when the new name is on disk. A relocating node belongs to no section and receives its
 * certificate once, so a write that a full disk refuses is retried until there is room.
 */
export async function prepareRelocation(options: RelocationOptions): Promise<void> {
  const { folder, certificate, age, destination, onError } = options;
  const prefix = grindingPrefix(options.prefix, destination);
  for (;;) {
    try {
      await openNextIdentity(folder, certificate, age, prefix);
      return;
    } catch (error) {
      onError(error);
      await new Promise((go) => setTimeout(go, options.retryMs ?? retryMs));
    }
  }
}
