/** A node that is moved takes a new name: made and written down before anything else happens. */
import type { Prefix } from '#address/prefix.ts';
import { openNextIdentity } from './node-folder.ts';

const retryMs = 2_000;

export interface MoveOptions {
  /** The folder of the node's identity. */
  readonly folder: string;
  readonly ticket: Uint8Array;
  readonly age: number;
  readonly prefix: Prefix;
  readonly failed: (error: unknown) => void;
  /** For tests. */
  readonly retryMs?: number;
}

/**
 * Resolves when the new name is on disk. A node that is moved is a member of no section and gets its ticket
 * once, so what a full disk refuses is tried again until there is room.
 */
export async function beginMove(options: MoveOptions): Promise<void> {
  const { folder, ticket, age, prefix, failed } = options;
  for (;;) {
    try {
      await openNextIdentity(folder, ticket, age, prefix);
      return;
    } catch (error) {
      failed(error);
      await new Promise((go) => setTimeout(go, options.retryMs ?? retryMs));
    }
  }
}
