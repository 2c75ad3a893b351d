/** The vault's end of the calls to the service worker; each failure states whether to wait. */
import { callHeader, networkHeader, rpcPath, workerHeader } from '#bridge/worker-messages.ts';
import {
  callFailure,
  differentVersions,
  workerCalls,
  type CallFailureKind,
  type CallInput,
  type CallOutput,
  type WorkerCallName,
} from '#bridge/worker-calls.ts';
import { VaultFailure } from '../failure.ts';

/** Why the worker did not carry out the call. */
export class RpcFailure extends Error {
  /** The worker's kind, or `offline` when no worker answered. */
  readonly kind: CallFailureKind;
  readonly status: number;
  /** How long to wait, if known by the worker. */
  readonly afterMs: number | null;

  constructor(
    kind: CallFailureKind,
    status: number,
    message: string,
    afterMs: number | null = null,
  ) {
    super(message);
    this.kind = kind;
    this.status = status;
    this.afterMs = afterMs;
  }

  /** Will the same call succeed later, without any action? */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500 || this.afterMs !== null;
  }
}

export type WorkerRpc = <Name extends WorkerCallName>(
  name: Name,
  input: CallInput<Name>,
  signal?: AbortSignal,
) => Promise<CallOutput<Name>>;

export const offlineSentence =
  'The network cannot be reached. Check your connection. Safe keeps trying.';

export interface RpcCallbacks {
  /** Hex of the network that the open Safe belongs to; `null` before the first contact. */
  readonly network: () => string | null;
  /** Called when something other than our worker answers. */
  readonly onUncontrolled: () => void;
  /** The worker is connected to another network than the Safe's. */
  readonly onOtherNetwork: () => void;
}

export function createWorkerRpc(
  fetch: (path: string, init?: RequestInit) => Promise<Response>,
  callbacks: RpcCallbacks,
): WorkerRpc {
  return async (name, input, signal) => {
    const call = workerCalls[name];
    let response: Response;
    try {
      const network = callbacks.network();
      const known = network === null ? {} : { [networkHeader]: network };
      response = await fetch(rpcPath + name, {
        method: 'POST',
        headers: { [callHeader]: '1', ...known },
        ...bodyOf(name, call.in.encode(input)),
        signal: signal ?? null,
      });
    } catch (error) {
      // Refused on this side: the Safe is locked.
      if (error instanceof VaultFailure) throw error;
      signal?.throwIfAborted();
      throw new RpcFailure('offline', 0, offlineSentence);
    }
    if (!response.headers.has(workerHeader)) {
      callbacks.onUncontrolled();
      throw new RpcFailure('offline', 0, 'The app is still starting. Safe keeps trying.');
    }
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (response.ok) {
      const output = call.out.decode(bytes);
      if (output !== undefined) return output;
      throw new RpcFailure(differentVersions.kind, response.status, differentVersions.message);
    }
    const failure = failureOf(response.status, bytes);
    if (failure.kind === 'otherNetwork') callbacks.onOtherNetwork();
    throw failure;
  };
}

/**
 * A piece to be sent to the worker. Chromium copies plain bytes through its main process (120 ms of CPU per
 * MiB, measured) and keeps a Blob's bytes there until a garbage collection (1 GB of them); a stream costs
 * 10 ms and keeps nothing. Browsers without request streams get the bytes.
 */
function bodyOf(name: WorkerCallName, bytes: Uint8Array): RequestInit {
  const plain = bytes as Uint8Array<ArrayBuffer>;
  if (name !== 'chunk/put') return { body: plain };
  canStream ??= supportsRequestStreams();
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

/** Without request streams, the body is converted to text and `duplex` is never read. */
function supportsRequestStreams(): boolean {
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

function failureOf(status: number, bytes: Uint8Array): RpcFailure {
  const failure = callFailure.decode(bytes);
  if (failure === undefined) return new RpcFailure('internal', status, offlineSentence);
  return new RpcFailure(failure.kind, status, failure.message, failure.afterMs);
}
