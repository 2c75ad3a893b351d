/** Calls to the service worker. Each may be repeated; each failure says whether to wait. */
import { callHeader, networkHeader, rpcPath, workerHeader } from '#bridge/worker.ts';
import { toHex } from '#core/codec/bytes.ts';
import { VaultFailure } from './failure.ts';

/** Why the worker did not do what it was asked. */
export class RpcFailure extends Error {
  /** The worker's kind, or `offline` when no worker answered. */
  readonly kind: string;
  readonly status: number;
  /** How long to wait, when the worker knows. */
  readonly afterMs: number | undefined;

  constructor(kind: string, status: number, message: string, afterMs?: number) {
    super(message);
    this.kind = kind;
    this.status = status;
    this.afterMs = afterMs;
  }

  /** Will the same call work later, without anybody doing anything? */
  get passes(): boolean {
    return (
      this.status === 0 || this.status === 429 || this.status >= 500 || this.afterMs !== undefined
    );
  }
}

export interface FileKey {
  readonly token: string;
  readonly fileId: string;
  readonly name: string;
  readonly type: string;
  readonly size: number;
  /** Base64 of the decoded data map. */
  readonly dataMap: string;
  readonly secret: string;
}

export interface Rpc {
  /** Resolves when at least three adults have signed that they keep the chunk. */
  readonly putChunk: (name: Uint8Array, bytes: Uint8Array, signal?: AbortSignal) => Promise<void>;
  readonly getChunk: (name: Uint8Array) => Promise<Uint8Array>;
  /** `null` when the network is sure that there is no such record. */
  readonly getPointer: (address: Uint8Array) => Promise<Uint8Array | null>;
  readonly putPointer: (record: Uint8Array) => Promise<'stored' | 'versionTaken'>;
  readonly giveFileKey: (key: FileKey) => Promise<string>;
  /** The Safe is locked: the worker drops these read keys. */
  readonly forgetFileKeys: (tokens: readonly string[]) => Promise<void>;
  /** For calls this list does not know (the wallet's). */
  readonly call: (path: string, init?: RequestInit) => Promise<Response>;
}

export const offlineSentence =
  'The network cannot be reached. Check your connection; it goes on by itself.';

export interface RpcOwner {
  /** Hex of the network that the open Safe belongs to; `null` before the first contact. */
  readonly network: () => string | null;
  /** Called when something other than our worker answers. */
  readonly onUncontrolled: () => void;
  /** The worker speaks to another network than the Safe's. */
  readonly onOtherNetwork: () => void;
}

export function createRpc(
  fetch: (path: string, init?: RequestInit) => Promise<Response>,
  owner: RpcOwner,
): Rpc {
  const call = async (path: string, init: RequestInit = {}): Promise<Response> => {
    let response: Response;
    try {
      const network = owner.network();
      const known = network === null ? {} : { [networkHeader]: network };
      const headers = { [callHeader]: '1', ...known };
      response = await fetch(rpcPath + path, { method: 'POST', headers, ...init });
    } catch (error) {
      // Refused on this side: the Safe is locked.
      if (error instanceof VaultFailure) throw error;
      init.signal?.throwIfAborted();
      throw new RpcFailure('offline', 0, offlineSentence);
    }
    if (!response.headers.has(workerHeader)) {
      owner.onUncontrolled();
      throw new RpcFailure('offline', 0, 'The app is still starting. It goes on by itself.');
    }
    if (response.ok) return response;
    const failure = await failureOf(response);
    if (failure.kind === 'otherNetwork') owner.onOtherNetwork();
    throw failure;
  };

  return {
    call,
    putChunk: async (name, bytes, signal) => {
      const init = bodyOf(bytes);
      if (signal !== undefined) init.signal = signal;
      await call(`chunk/put?name=${toHex(name)}`, init);
    },
    getChunk: async (name) => bytesOf(await call(`chunk/get?name=${toHex(name)}`)),
    getPointer: async (address) => {
      try {
        return await bytesOf(await call(`pointer/get?address=${toHex(address)}`));
      } catch (error) {
        if (error instanceof RpcFailure && error.status === 404 && error.kind === 'notFound') {
          return null;
        }
        throw error;
      }
    },
    putPointer: async (record) => {
      try {
        await call('pointer/put', { body: record as Uint8Array<ArrayBuffer> });
        return 'stored';
      } catch (error) {
        if (error instanceof RpcFailure && error.kind === 'versionTaken') return 'versionTaken';
        throw error;
      }
    },
    forgetFileKeys: async (tokens) => {
      await call('file/forget', { body: JSON.stringify({ tokens }) });
    },
    giveFileKey: async (key) => {
      const answer: unknown = await (await call('file/key', { body: JSON.stringify(key) })).json();
      return (answer as { readonly url: string }).url;
    },
  };
}

/**
 * A piece on its way to the worker. Chromium takes plain bytes through its main process (120 ms of
 * CPU per MiB, measured) and keeps a Blob's bytes there until a collection comes by (1 GB of them);
 * a stream costs 10 ms and keeps nothing. Browsers without streams in requests get the bytes.
 */
function bodyOf(bytes: Uint8Array): RequestInit {
  const plain = bytes as Uint8Array<ArrayBuffer>;
  canStream ??= takesStreams();
  if (!canStream) return { body: plain };
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => {
      controller.enqueue(plain);
      controller.close();
    },
  });
  return { body, duplex: 'half' } as RequestInit;
}

let canStream: boolean | undefined;

/** Where streams are unknown the body is taken for text, and `duplex` is not looked at. */
function takesStreams(): boolean {
  let looked = false;
  const init = {
    method: 'POST',
    body: new ReadableStream(),
    get duplex() {
      looked = true;
      return 'half' as const;
    },
  };
  const request = new Request('http://safe.invalid/', init as RequestInit);
  return looked && !request.headers.has('content-type');
}

const bytesOf = async (response: Response): Promise<Uint8Array> =>
  new Uint8Array(await response.arrayBuffer());

async function failureOf(response: Response): Promise<RpcFailure> {
  const body = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  const { kind, message, afterMs } = body;
  return new RpcFailure(
    typeof kind === 'string' ? kind : 'internal',
    response.status,
    typeof message === 'string' ? message : offlineSentence,
    typeof afterMs === 'number' && afterMs >= 0 ? afterMs : undefined,
  );
}
