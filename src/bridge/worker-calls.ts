/**
 * The calls of page and vault to the service worker: `POST /safe/rpc/<name>`, a functional event, which
 * restarts a worker that the browser has stopped. Both ends, and the fakes of tests, derive from this table.
 * Every call is idempotent.
 */
import { decodeCbor, encodeCbor, unlimitedItems } from '#core/codec/cbor.ts';
import { utf8 } from '#core/codec/bytes.ts';
import {
  bool,
  bytesOf,
  bytesUpTo,
  intBetween,
  listOf,
  nullable,
  oneOf,
  record,
  refined,
  textUpTo,
  u64,
  type Shape,
} from '#core/codec/shape.ts';
import { paymentStages, waitingReasons } from '#safe/payment/stages.ts';
import { networkViewShape, transportPreferences } from './worker-messages.ts';

/** Bytes of a request or response and their value; both ends use the same one. */
interface BodyCodec<T> {
  readonly encode: (value: T) => Uint8Array;
  /** @returns `undefined` for bytes that are not such a value */
  readonly decode: (bytes: Uint8Array) => T | undefined;
}

interface WorkerCall<In, Out> {
  readonly in: BodyCodec<In>;
  readonly out: BodyCodec<Out>;
}

/** Only our own code writes these bytes: the shape bounds the value. */
const cbor = <T>(shape: Shape<T>): BodyCodec<T> => ({
  encode: encodeCbor,
  decode: (bytes) => {
    const decoded = decodeCbor(bytes, unlimitedItems);
    return decoded.ok ? shape(decoded.value) : undefined;
  },
});
/** A piece or record as it is, without a copy. */
const binary = (maxBytes: number): BodyCodec<Uint8Array> => ({
  encode: (bytes) => bytes,
  decode: (bytes) => (bytes.length <= maxBytes ? bytes : undefined),
});
const nothing: BodyCodec<null> = {
  encode: () => new Uint8Array(),
  decode: (bytes) => (bytes.length === 0 ? null : undefined),
};
const call = <In, Out>(input: BodyCodec<In>, out: BodyCodec<Out>): WorkerCall<In, Out> => ({
  in: input,
  out,
});

/** An encrypted piece with room for its headers. */
const maxPieceBytes = 1024 * 1024 + 1024;
/** A chain page with its section. */
const maxProofBytes = 4 * 1024 * 1024;
const maxInclusionBytes = 64 * 1024;
const maxEntriesPerPage = 256;
/** A committed transaction with the proofs of its inputs. */
const maxListedBytes = 128 * 1024;
const maxPosition = 2 ** 48;
/** A data map of the largest file. */
const maxMapBytes = 2 * 1024 * 1024;
/** Payments of one Safe that end at the same time. */
const maxEndedPayments = 1024;
/** Of one call; a tab that opened more files makes several. */
export const maxRevokedTokens = 1024;

const name32 = bytesOf(32);
const hexText = (name: string, pattern: RegExp): Shape<string> =>
  refined(name, textUpTo(64), (text) => (pattern.test(text) ? text : undefined));
const token = hexText('token', /^[0-9a-f]{16,64}$/);
const paymentId = hexText('payment id', /^[0-9a-f]{64}$/);

const fileKeyShape = record({
  token,
  name: textUpTo(1024),
  type: textUpTo(255),
  dataMap: bytesUpTo(maxMapBytes),
  secret: name32,
});
/** What the worker needs to read one file: its decoded data map and read key. */
export type FileKey = NonNullable<ReturnType<typeof fileKeyShape>>;

const stageFields = {
  stage: oneOf(...paymentStages),
  /** Why it makes no progress; `null` while it does. */
  waiting: nullable(oneOf(...waitingReasons)),
};
const paymentReportShape = record({
  ...stageFields,
  /** Why the elders cannot decide now (N29), else empty. */
  sentence: textUpTo(1024),
});
export type PaymentReport = NonNullable<ReturnType<typeof paymentReportShape>>;

const table = {
  /** `look`: a page is watching, so elders are asked for section changes, at most every few seconds. */
  status: call(cbor(record({ look: bool })), cbor(networkViewShape)),
  transport: call(cbor(record({ preference: oneOf(...transportPreferences) })), nothing),
  /** Answered when at least three adults have signed a receipt. */
  'chunk/put': call(binary(maxPieceBytes), nothing),
  'chunk/get': call(cbor(record({ name: name32 })), binary(maxPieceBytes)),
  'pointer/put': call(binary(maxPieceBytes), nothing),
  'pointer/get': call(cbor(record({ address: name32 })), binary(maxPieceBytes)),
  /** The encoded chain page from a known key to the section of a name. */
  'section/proof': call(cbor(record({ name: name32, from: bytesOf(96) })), binary(maxProofBytes)),
  'file/key': call(cbor(fileKeyShape), cbor(record({ url: textUpTo(8192) }))),
  'file/forget': call(cbor(record({ tokens: listOf(token, maxRevokedTokens) })), nothing),
  /** `known`: the report the caller has; the answer waits for a newer one, up to some seconds. */
  pay: call(
    cbor(record({ paymentId, known: nullable(record(stageFields)) })),
    cbor(paymentReportShape),
  ),
  /** `null`: every ended payment. */
  'pay/done': call(
    cbor(record({ paymentIds: nullable(listOf(paymentId, maxEndedPayments)) })),
    nothing,
  ),
  /** The encoded inclusion proof of a slot in the sealed root of an ended epoch (N34). */
  prove: call(cbor(record({ slot: name32, epoch: u64, txid: name32 })), binary(maxInclusionBytes)),
  /** A page of one elder's list of registered outputs. */
  outputs: call(
    cbor(record({ elder: name32, after: intBetween(0, maxPosition) })),
    cbor(
      record({
        entries: listOf(bytesUpTo(maxListedBytes), maxEntriesPerPage),
        next: intBetween(0, maxPosition),
        more: bool,
      }),
    ),
  ),
} as const;

type Table = typeof table;
export type WorkerCallName = keyof Table;
export type CallInput<Name extends WorkerCallName> =
  Table[Name] extends WorkerCall<infer In, infer _Out> ? In : never;
export type CallOutput<Name extends WorkerCallName> =
  Table[Name] extends WorkerCall<infer _In, infer Out> ? Out : never;

/** The client's end: how a call is written and its response is read. */
export const workerCalls: {
  readonly [Name in WorkerCallName]: WorkerCall<CallInput<Name>, CallOutput<Name>>;
} = table;

/** The server's end: one handler per call. */
export type WorkerCallHandlers = {
  readonly [Name in WorkerCallName]: (
    input: CallInput<Name>,
    signal: AbortSignal,
  ) => CallOutput<Name> | Promise<CallOutput<Name>>;
};

export const isWorkerCall = (name: string): name is WorkerCallName => Object.hasOwn(table, name);

/** @returns the response body; `null` when the input is not one of this call */
export async function answerCall<Name extends WorkerCallName>(
  handlers: Pick<WorkerCallHandlers, Name>,
  name: Name,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  const input = workerCalls[name].in.decode(body);
  if (input === undefined) return null;
  return workerCalls[name].out.encode(await handlers[name](input, signal));
}

const failureKinds = [
  /** No worker or too few elders answer. */
  'offline',
  'slow',
  'notFound',
  'versionTaken',
  'otherNetwork',
  'networkRefused',
  'locked',
  'storageFull',
  'busy',
  /** The caller has aborted it. */
  'cancelled',
  /** The call is unknown or malformed: the two ends are of different versions. */
  'otherVersion',
  'internal',
] as const;

const failureShape = record({
  kind: oneOf(...failureKinds),
  /** A whole sentence with a next step. */
  message: textUpTo(1024),
  /** When the same call may succeed; `null` if that is unknown. */
  afterMs: nullable(intBetween(0, 3_600_000)),
});
/** The body of a response that is not 2xx. */
export type CallFailure = NonNullable<ReturnType<typeof failureShape>>;
export type CallFailureKind = CallFailure['kind'];

/** As JSON: a person may open the address of a file that is locked. */
export const callFailure: BodyCodec<CallFailure> = {
  encode: (failure) => utf8(JSON.stringify(failure)),
  decode: (bytes) => {
    try {
      return failureShape(JSON.parse(new TextDecoder().decode(bytes)));
    } catch {
      return undefined;
    }
  },
};

export const differentVersions: CallFailure = {
  kind: 'otherVersion',
  message: 'This tab and the app behind it are of different versions. Reload this tab.',
  afterMs: null,
};
