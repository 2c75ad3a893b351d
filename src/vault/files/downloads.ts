/** Gives the worker what it needs to read one file: nothing else of the Safe leaves the vault. */
import { maxRevokedTokens, type FileKey } from '#bridge/worker-calls.ts';
import { fromHex, toHex } from '#core/codec/bytes.ts';
import { encodeDataMap } from '#data/data-map.ts';
import { decryptDataMap } from '#runtime/jobs/encrypt-pieces.ts';
import { backOffMs, type VaultContext } from '../context.ts';
import { safeIsLocked, VaultFailure } from '../failure.ts';
import type { OpenSafe } from '../session/open-safe.ts';

/** Files whose keys are kept, to be resent after a restart of the worker. */
const maxOpenFiles = 64;
/** A worker that does not answer is restarting, and a restarted worker has no keys. */
const maxRevokeAttempts = 4;
/** Lock is confirmed then even if the worker has not answered; its call is no longer awaited. */
const maxRevokeWaitMs = 10_000;
const never = new AbortController().signal;

export interface Downloads {
  /** @returns the address under which the worker streams the file. */
  readonly open: (fileId: string) => Promise<string>;
  /** The worker was restarted and asks again; tokens of other tabs are ignored. */
  readonly resend: (token: string) => Promise<void>;
}

/** Resolves when no call that gives or revokes a read key is in progress, or after a timeout. */
export async function keyCallsSettled({ ports, keyCalls }: VaultContext): Promise<void> {
  const timeout = new AbortController();
  const all = async (): Promise<void> => {
    while (keyCalls.size > 0) await Promise.allSettled(keyCalls);
  };
  if (keyCalls.size > 0) {
    const late = ports.wait(maxRevokeWaitMs, timeout.signal).then(() => {
      if (!timeout.signal.aborted) keyCalls.clear();
    });
    await Promise.race([all(), late.catch(() => undefined)]);
  }
  timeout.abort();
}

export function openDownloads(safe: OpenSafe): Downloads {
  const { closed, outlivingRpc } = safe.session;
  const { ports, rpc, keyCalls } = safe.session.context;
  const keys = new Map<string, FileKey>();
  /** All of them, because the worker also ends reads whose key it evicted. */
  const sentTokens = new Set<string>();

  const track = <Value>(call: Promise<Value>): Promise<Value> => {
    const tracked = call.finally(() => keyCalls.delete(tracked));
    keyCalls.add(tracked);
    return tracked;
  };
  // Locked means that nothing of this Safe is readable here any longer, not even by the worker.
  const revoke = async (tokens: readonly string[]): Promise<void> => {
    for (let failures = 0; failures < maxRevokeAttempts; failures++) {
      if (failures > 0) await ports.wait(backOffMs(failures), never);
      try {
        await outlivingRpc('file/forget', { tokens });
        return;
      } catch {
        // The next attempt follows.
      }
    }
  };
  closed.addEventListener('abort', () => {
    keys.clear();
    // The newest first: of those the worker still has the keys.
    const tokens = [...sentTokens].reverse();
    for (let from = 0; from < tokens.length; from += maxRevokedTokens) {
      void track(revoke(tokens.slice(from, from + maxRevokedTokens)));
    }
  });

  /** Not aborted by Lock: only a completed call can be reliably revoked. */
  const sendKey = async (key: FileKey): Promise<string> => {
    if (closed.aborted) throw safeIsLocked();
    sentTokens.add(key.token);
    try {
      return (await track(outlivingRpc('file/key', key))).url;
    } finally {
      if (closed.aborted) void track(revoke([key.token]));
    }
  };
  return {
    open: async (fileId) => {
      const entry = safe.known.index.files.get(fileId);
      if (entry === undefined || !fromHex(fileId).ok) {
        throw new VaultFailure('fileChanged', 'This file is not in your Safe any more.');
      }
      const chunk = await rpc('chunk/get', { name: entry.dataMapName });
      const map = await decryptDataMap(entry.secret, entry.dataMapName, chunk);
      if (!map.ok || map.value.size !== entry.size) {
        throw new VaultFailure(
          'networkRefused',
          'The list of this file’s pieces came back altered. Try again: other nodes keep copies.',
        );
      }
      const key: FileKey = {
        token: toHex(ports.randomBytes(16)),
        name: entry.name,
        type: entry.type,
        dataMap: encodeDataMap(map.value),
        secret: entry.secret,
      };
      const url = await sendKey(key);
      if (closed.aborted) throw safeIsLocked();
      keys.set(key.token, key);
      if (keys.size > maxOpenFiles) keys.delete(keys.keys().next().value ?? '');
      return url;
    },
    resend: async (token) => {
      const key = keys.get(token);
      if (key !== undefined) await sendKey(key);
    },
  };
}
