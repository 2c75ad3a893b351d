/** Answers of the worker. All carry a header, so that a static server's 404 is not taken for one. */
import { workerHeader, type StallView } from '#bridge/worker.ts';
import { instanceId } from './instance.ts';

export interface Failure {
  readonly kind: string;
  /** A whole sentence with a next step. */
  readonly message: string;
  readonly afterMs?: number;
}

/** Thrown inside a call; becomes a non-2xx answer. */
export class CallError extends Error {
  readonly status: number;
  readonly failure: Failure;

  constructor(status: number, failure: Failure) {
    super(failure.message);
    this.status = status;
    this.failure = failure;
  }
}

const headers = (type: string): Record<string, string> => ({
  'content-type': type,
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  [workerHeader]: instanceId,
});

export const bytesAnswer = (bytes: Uint8Array): Response =>
  new Response(bytes as Uint8Array<ArrayBuffer>, { headers: headers('application/octet-stream') });

export const jsonAnswer = (value: unknown, status = 200): Response =>
  new Response(JSON.stringify(value), { status, headers: headers('application/json') });

export const failureAnswer = (error: unknown): Response => {
  if (error instanceof CallError) return jsonAnswer(error.failure, error.status);
  const message = 'Something went wrong inside the app. Reload the page and try again.';
  return jsonAnswer({ kind: 'internal', message, detail: String(error) }, 500);
};

export const unreachable = (what: string): CallError =>
  new CallError(503, {
    kind: 'offline',
    message: `${what} Check your connection; it goes on by itself when the network answers.`,
    afterMs: 2_000,
  });

/** Pieces crowd each other out: fewer at once, and they arrive. */
export const slowLink = (): CallError =>
  new CallError(503, {
    kind: 'slow',
    message: 'The connection is slow. What did not arrive is tried again by itself.',
    afterMs: 1_000,
  });

/** N29: the same sentence as on the Network page; whatever waits is tried again by itself. */
export const stalled = ({ sentence }: StallView): CallError =>
  new CallError(503, { kind: 'offline', message: sentence, afterMs: 2_000 });
