/** Hands the worker what it needs to read one file: nothing else of the Safe leaves the vault. */
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { encodeDataMap } from '#data/data-map.ts';
import { openDataMap } from '#runtime/jobs/read-file.ts';
import { backOffMs, type VaultContext } from './context.ts';
import { safeIsLocked, VaultFailure } from './failure.ts';
import type { OpenSafe } from './open-safe.ts';
import type { FileKey } from './rpc.ts';

/** Files whose keys are kept ready to be given again after the worker's death. */
const maxOpenFiles = 64;
/** A worker that does not answer is being started anew, and then it holds nothing. */
const takeBackTries = 4;
/** Lock is confirmed then even if the worker has not answered; its call is waited for by nobody any more. */
const longestTakeBackMs = 10_000;
const never = new AbortController().signal;

export interface Downloads {
  /** @returns the address under which the worker streams the file. */
  readonly open: (fileId: string) => Promise<string>;
  /** The worker was restarted and asks again; tokens of other tabs are not ours to answer. */
  readonly giveAgain: (token: string) => Promise<void>;
}

/** Resolves when no read key is being handed over or taken back any more, or after a while. */
export async function keysTakenBack({ ports, keyCalls }: VaultContext): Promise<void> {
  const patience = new AbortController();
  const all = async (): Promise<void> => {
    while (keyCalls.size > 0) await Promise.allSettled(keyCalls);
  };
  if (keyCalls.size > 0) {
    const late = ports.wait(longestTakeBackMs, patience.signal).then(() => {
      if (!patience.signal.aborted) keyCalls.clear();
    });
    await Promise.race([all(), late.catch(() => undefined)]);
  }
  patience.abort();
}

export function openDownloads(safe: OpenSafe): Downloads {
  const { closed, afterwards } = safe.session;
  const { ports, rpc, keyCalls } = safe.session.context;
  const keys = new Map<string, FileKey>();
  /** All that the worker may still hold, also what is not kept ready any more. */
  const given = new Set<string>();

  const underWay = <Value>(call: Promise<Value>): Promise<Value> => {
    const noted = call.finally(() => keyCalls.delete(noted));
    keyCalls.add(noted);
    return noted;
  };
  // Locked means that nothing of this Safe can be read here any more, by the worker neither.
  const takeBack = async (tokens: readonly string[]): Promise<void> => {
    for (let failures = 0; tokens.length > 0 && failures < takeBackTries; failures++) {
      if (failures > 0) await ports.wait(backOffMs(failures), never);
      try {
        return await afterwards.forgetFileKeys(tokens);
      } catch {
        // It is tried again.
      }
    }
  };
  closed.addEventListener('abort', () => {
    keys.clear();
    void underWay(takeBack([...given]));
  });

  /** Not cut off by Lock: only a call that has ended can be undone for sure. */
  const give = async (key: FileKey): Promise<string> => {
    if (closed.aborted) throw safeIsLocked();
    given.add(key.token);
    try {
      return await underWay(afterwards.giveFileKey(key));
    } finally {
      if (closed.aborted) void underWay(takeBack([key.token]));
    }
  };
  return {
    open: async (fileId) => {
      const entry = safe.known.index.files.get(fileId);
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
      const url = await give(key);
      if (closed.aborted) throw safeIsLocked();
      keys.set(key.token, key);
      if (keys.size > maxOpenFiles) keys.delete(keys.keys().next().value ?? '');
      return url;
    },
    giveAgain: async (token) => {
      const key = keys.get(token);
      if (key !== undefined) await give(key);
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
