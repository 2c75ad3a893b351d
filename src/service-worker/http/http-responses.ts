/** The worker's HTTP responses. All carry a header that distinguishes them from a static server's 404. */
import { workerHeader, type StallView } from '#bridge/worker-messages.ts';
import { callFailure, type CallFailure } from '#bridge/worker-calls.ts';
import { instanceId } from '../instance.ts';

/** Thrown inside a call; becomes a non-2xx response. */
export class CallError extends Error {
  readonly status: number;
  readonly failure: CallFailure;

  constructor(status: number, failure: Omit<CallFailure, 'afterMs'> & Partial<CallFailure>) {
    super(failure.message);
    this.status = status;
    this.failure = { afterMs: null, ...failure };
  }
}

const headers = (type: string): Record<string, string> => ({
  'content-type': type,
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  [workerHeader]: instanceId,
});

export const bytesResponse = (bytes: Uint8Array): Response =>
  new Response(bytes as Uint8Array<ArrayBuffer>, { headers: headers('application/octet-stream') });

export function failureResponse(error: unknown): Response {
  const { status, failure } = error instanceof CallError ? error : unexpected(error);
  const body = callFailure.encode(failure) as Uint8Array<ArrayBuffer>;
  return new Response(body, { status, headers: headers('application/json') });
}

function unexpected(error: unknown): CallError {
  console.error(error);
  const message = 'Something went wrong inside the app. Reload the page and try again.';
  return new CallError(500, { kind: 'internal', message });
}

export const unreachable = (what: string): CallError =>
  new CallError(503, {
    kind: 'offline',
    message: `${what} Check your connection. Safe keeps trying.`,
    afterMs: 2_000,
  });

/** Pieces compete for the link: fewer at the same time do arrive. */
export const slowLink = (): CallError =>
  new CallError(503, {
    kind: 'slow',
    message: 'The connection is slow. What did not arrive is tried again by itself.',
    afterMs: 1_000,
  });

/** N29: the same sentence as on the Network page; pending requests are retried automatically. */
export const stalled = ({ sentence }: StallView): CallError =>
  new CallError(503, { kind: 'offline', message: sentence, afterMs: 2_000 });
