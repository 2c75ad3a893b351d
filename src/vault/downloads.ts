/** Hands the worker what it needs to read one file: nothing else of the Safe leaves the vault. */
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { encodeDataMap } from '#data/data-map.ts';
import { openDataMap } from '#runtime/jobs/read-file.ts';
import type { VaultContext } from './context.ts';
import { VaultFailure } from './failure.ts';
import type { OpenSafe } from './open-safe.ts';
import type { FileKey } from './rpc.ts';

/** Files whose keys are kept ready to be given again after the worker's death. */
const maxOpenFiles = 64;

export interface Downloads {
  /** @returns the address under which the worker streams the file. */
  readonly open: (fileId: string) => Promise<string>;
  /** The worker was restarted and asks again; tokens of other tabs are not ours to answer. */
  readonly giveAgain: (token: string) => Promise<void>;
}

export function openDownloads({ ports, rpc }: VaultContext, safe: OpenSafe): Downloads {
  const keys = new Map<string, FileKey>();
  // Locked means that nothing of this Safe can be read here any more, by the worker neither.
  safe.closed.signal.addEventListener('abort', () => {
    const tokens = [...keys.keys()];
    keys.clear();
    if (tokens.length > 0) void rpc.forgetFileKeys(tokens).catch(() => undefined);
  });
  return {
    open: async (fileId) => {
      const entry = safe.index.files.get(fileId);
      if (entry === undefined || !fromHex(fileId).ok) {
        throw new VaultFailure('fileChanged', 'This file is not in your Safe any more.');
      }
      const chunk = await rpc.getChunk(entry.dataMapName);
      const map = await openDataMap(entry.secret, entry.dataMapName, chunk);
      if (!map.ok || map.value.size !== entry.size) {
        throw new VaultFailure(
          'networkRefused',
          'The list of this file’s pieces came back altered. Try again: other nodes keep copies.',
        );
      }
      const key: FileKey = {
        token: toHex(ports.randomBytes(16)),
        fileId,
        name: entry.name,
        type: entry.type,
        size: entry.size,
        dataMap: toBase64(encodeDataMap(map.value)),
        secret: toBase64(entry.secret),
      };
      keys.set(key.token, key);
      if (keys.size > maxOpenFiles) keys.delete(keys.keys().next().value ?? '');
      return rpc.giveFileKey(key);
    },
    giveAgain: async (token) => {
      const key = keys.get(token);
      if (key !== undefined && !safe.closed.signal.aborted) await rpc.giveFileKey(key);
    },
  };
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}
