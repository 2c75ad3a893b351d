/**
 * Contents of fields whose shape is only "bytes": values of other codecs, and the fixed layouts.
 */
import { toXorName } from '#address/xor-name.ts';
import {
  bytesOf,
  intBetween,
  listOf,
  nullable,
  oneOf,
  record,
  u64,
  union,
  type Shape,
} from '#core/codec/shape.ts';
import { agreementFactShape, agreementMessageShape } from '#protocol/agreement/index.ts';
import {
  dealingListShape,
  dkgFactShape,
  dkgMessageShape,
  readinessProofShape,
} from '#protocol/dkg/index.ts';
import { handoverFactShape, handoverMessageShape } from '#protocol/handover/codec.ts';
import {
  actBodyBytes,
  decodeAct,
  encodeAct,
  encodeRelocationCertificate,
  maxVacancies,
  type Act,
  type ActBody,
  type ActKind,
  type RelocationCertificate,
} from '#protocol/membership/index.ts';
import {
  ANCHOR_BYTES,
  encodeTransaction,
  maxInputs,
  maxOutputs,
  MEMO_BOX_BYTES,
  VIEW_TAG_BYTES,
  type TransactionBody,
} from '#money/transaction.ts';
import { mintRequestShape } from '#protocol/mint/codec.ts';
import { noDigest } from '#protocol/replication/index.ts';
import { spentbookRequestShape } from '#protocol/spentbook/codec.ts';
import { clientRequestShape } from '#roles/wire/client.ts';
import { invitationShape } from '#roles/wire/lobby.ts';
import {
  withLedgerRoot,
  decodeSealedState,
  ELDER_COUNT,
  encodeAddressRecord,
  encodeSealedState,
  encodeSignedAuthority,
  maxAddresses,
  encodeSuccessor,
  SHARES_REQUIRED,
  signedAuthorityOf,
  type SealedState,
} from '#protocol/section/index.ts';
import { make, type Contents, type Filling, type Making } from './make-values.ts';

const name = bytesOf(32);
const elder = intBetween(1, ELDER_COUNT);
const signature = bytesOf(64);

const ticketShape = record({
  relocation: record({
    name,
    age: intBetween(0, 255),
    destination: name,
    generation: u64,
    reason: oneOf('reward', 'demotion'),
  }),
  sourceKey: bytesOf(96),
  sourceEpoch: u64,
  signature: bytesOf(48),
  nameSignature: signature,
});

/** Five vouchers: the layout of an act has no room for more. */
const provenShape = record({
  list: dealingListShape,
  key: bytesOf(96),
  publicShares: listOf(bytesOf(96), ELDER_COUNT, ELDER_COUNT),
  signature: bytesOf(48),
  vouchers: listOf(record({ candidate: elder, signature }), SHARES_REQUIRED, SHARES_REQUIRED),
});

/** One case per kind of act: a new kind does not compile without one. */
const acts = {
  join: record({ name, sharingKey: bytesOf(32), certificate: nullable(ticketShape) }),
  leave: record({ name }),
  demote: record({ name }),
  vacancies: record({ count: intBetween(0, maxVacancies) }),
  handover: record({ sessionId: name, ready: listOf(provenShape, 2, 1) }),
  sealedSet: record({
    snapshots: listOf(record({ elder, root: name, signature }), ELDER_COUNT),
    sealedRoot: name,
  }),
} satisfies Record<ActKind, Shape<object>>;

export const actBodyShape = union(acts);
export const actKinds = Object.keys(acts) as readonly ActKind[];
const actShape = record({
  body: actBodyShape,
  endorsements: listOf(record({ elder, signature }), ELDER_COUNT),
});

/** Lists of one entry per elder must be sorted and without duplicates. */
export const inElderOrder = <T extends { readonly elder: number }>(items: readonly T[]): T[] =>
  [...new Map(items.map((item) => [item.elder, item])).values()].sort((a, b) => a.elder - b.elder);

/** A body with a valid layout; only its contents are wrong. */
export function bodyFrom(value: unknown): ActBody {
  const body = value as ActBody;
  return body.kind === 'sealedSet' ? { ...body, snapshots: inElderOrder(body.snapshots) } : body;
}

export function actFrom(value: unknown): Act {
  const { body, endorsements } = value as Act;
  return { body: bodyFrom(body), endorsements: inElderOrder(endorsements) };
}

const actBody: Filling = (making) => actBodyBytes(bodyFrom(make(making, actBodyShape)));

const act: Filling = (making) => encodeAct(actFrom(make(making, actShape)));

/** Stores bodies and endorsements of real acts as parts for generated ones. */
export function noteAct({ seen }: Pick<Making, 'seen'>, bytes: Uint8Array): void {
  const decoded = decodeAct(bytes);
  if (decoded.ok) seen.note(actShape, decoded.value);
}

const relocationCertificate: Filling = (making) =>
  encodeRelocationCertificate(make(making, ticketShape) as unknown as RelocationCertificate);

/** A real link with one field changed; without any, a generated one. */
const successor: Filling = (making) => {
  const { prng } = making;
  const known = making.seen.like(prng, sealedShape);
  const sealed = known instanceof Uint8Array ? decodeSealedState(known) : undefined;
  const links = sealed?.ok === true ? sealed.value.chain : [];
  const link = links.length === 0 ? undefined : prng.pick(links);
  if (link !== undefined && prng.chance(0.3)) return encodeSuccessor(link);
  const bytes32 = (): Uint8Array => make(making, name) as Uint8Array;
  const key = (): Uint8Array => make(making, bytesOf(96)) as Uint8Array;
  const base = link?.record ?? {
    networkId: bytes32(),
    parentKey: key(),
    epoch: BigInt(prng.below(3)),
    finalGeneration: BigInt(prng.below(9)),
    membersRoot: bytes32(),
    sealedRoot: bytes32(),
    children: [
      {
        prefix: { bitCount: 0, bits: new Uint8Array(32) },
        key: key(),
        charterHash: bytes32(),
      },
    ],
  };
  const changes = [
    { parentKey: key() },
    { membersRoot: bytes32() },
    { sealedRoot: bytes32() },
    { epoch: base.epoch + 1n },
    { finalGeneration: base.finalGeneration + 1n },
    { children: [...base.children, ...base.children].slice(0, 2) },
    {},
  ];
  const made = { ...base, ...prng.pick(changes) };
  return encodeSuccessor({ record: made, signature: make(making, bytesOf(48)) as Uint8Array });
};

/** The shape under which all sealed states seen are stored, as bytes. */
export const sealedShape: Shape<Uint8Array> = bytesOf(0);

/** A real state unchanged, or older or newer, or with other members, key, chain or ledger. */
const sealedState: Filling = (making) => {
  const { prng, seen } = making;
  const known = seen.like(prng, sealedShape);
  const decoded = known instanceof Uint8Array ? decodeSealedState(known) : undefined;
  if (decoded?.ok !== true) return prng.bytes(prng.below(200));
  return prng.chance(0.25) ? known : encodeSealedState(otherState(making, decoded.value));
};

function otherState(making: Making, sealed: SealedState): SealedState {
  const { prng } = making;
  const { state, chain } = sealed;
  const { authority, ledger } = state;
  const key = (): Uint8Array => make(making, bytesOf(96)) as Uint8Array;
  const rebound = (change: Partial<typeof authority>): SealedState => ({
    ...sealed,
    state: withLedgerRoot({ authority: { ...authority, ...change }, ledger }),
  });
  const at = prng.below(authority.members.length);
  return prng.pick([
    () => rebound({ generation: authority.generation + 1n }),
    () => rebound({ generation: (1n << 64n) - 1n }),
    () =>
      rebound({
        generation: authority.generation + 1n,
        members: authority.members.filter((_, n) => n !== at),
      }),
    () => rebound({ key: key() }),
    () => rebound({ epoch: authority.epoch + 1n, key: key() }),
    () => ({ ...sealed, signature: prng.bytes(48) }),
    () => ({ ...sealed, chain: [] }),
    () => ({ ...sealed, chain: [...chain, ...chain].slice(0, 16) }),
    () => ({
      ...sealed,
      state: withLedgerRoot({ authority, ledger: { ...ledger, vacancies: prng.below(64) } }),
    }),
    () => ({ ...sealed, state: { authority, ledger: { ...ledger, sessions: [] } } }),
  ])();
}

const signedAuthority: Filling = (making, shape) => {
  const bytes = sealedState(making, shape) as Uint8Array;
  const decoded = decodeSealedState(bytes);
  return decoded.ok ? encodeSignedAuthority(signedAuthorityOf(decoded.value)) : bytes;
};

const transactionShape = record({
  networkId: name,
  inputs: listOf(record({ keyImage: name, oneTimeKey: name, amount: u64 }), maxInputs, 1),
  outputs: listOf(
    record({
      oneTimeKey: name,
      amount: u64,
      ephemeralKey: name,
      viewTag: bytesOf(VIEW_TAG_BYTES),
      anchorBox: bytesOf(ANCHOR_BYTES),
      memoBox: bytesOf(MEMO_BOX_BYTES),
    }),
    maxOutputs,
    1,
  ),
  fee: u64,
  recoveryKey: name,
});

const transaction: Filling = (making) => {
  const body = make(making, transactionShape) as unknown as TransactionBody;
  const scalar = (): Uint8Array => make(making, name) as Uint8Array;
  const signatures = body.inputs.map(() => ({ c0: scalar(), s: scalar() }));
  return encodeTransaction({ ...body, signatures });
};

const addressRecord: Filling = (making) => {
  const { prng } = making;
  const addresses = Array.from(
    { length: prng.below(maxAddresses + 1) },
    () => `/ip4/127.0.0.1/tcp/${1 + prng.below(65_535)}`,
  );
  const record = {
    networkId: make(making, name) as Uint8Array,
    name: toXorName(make(making, name) as Uint8Array),
    counter: BigInt(prng.below(5)),
    addresses,
    signature: make(making, signature) as Uint8Array,
  };
  return encodeAddressRecord(record);
};

const cursor: Filling = ({ prng, seen }) => {
  const hex = (bytes: Uint8Array): string =>
    [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return prng.pick([
    '',
    `${hex(seen.ofLength(prng, 32) ?? prng.bytes(32))}${prng.pick(['c', 'p'])}`,
  ]);
};

const item: Filling = ({ prng, seen }) => {
  const kind = prng.pick(['chunk', 'pointer'] as const);
  return {
    kind,
    name: toXorName(seen.ofLength(prng, 32) ?? prng.bytes(32)),
    size: prng.pick([0, 1, 512, 65_536]),
    version: kind === 'chunk' ? 0n : BigInt(prng.below(3)),
    digest: kind === 'chunk' ? noDigest : (seen.ofLength(prng, 32) ?? prng.bytes(32)),
  };
};

/** By the end of a path: bytes that hold CBOR of a shape. */
export const contents: Contents = {
  'agreement.message': agreementMessageShape,
  'dkg.message': dkgMessageShape,
  'ready.proof': readinessProofShape,
  'handover.message': handoverMessageShape,
  'slot.message': spentbookRequestShape,
  'output.message': mintRequestShape,
  'routed.request': clientRequestShape,
  'founding.invitation': invitationShape,
  'agreement.fact': agreementFactShape,
  'dkg.fact': dkgFactShape,
  'handover.fact': handoverFactShape,
};

/** By the end of a path, or the name of a refined shape. */
export const fillings: Readonly<Record<string, Filling>> = {
  successor,
  cursor,
  item,
  'prevote.proposals': act,
  'proposals.proposals': act,
  'decision.proposals': act,
  'signed.proposals': act,
  'endorse.body': actBody,
  'join.body': actBody,
  'update.sealed': sealedState,
  'chainSegment.links': successor,
  'sealed.sealed': sealedState,
  'links.links': successor,
  'joining.certificate': relocationCertificate,
  transaction,
  'recordChosen.record': successor,
  'succeeded.signed': successor,
  'enlist.record': addressRecord,
  'elders.record': addressRecord,
  'adults.record': addressRecord,
  records: addressRecord,
  'authority.authority': signedAuthority,
  'keyReady.authority': signedAuthority,
  'complete.signed': signedAuthority,
};

/**
 * By the end of a path: bytes with a fixed layout that has its own tests, or without structure.
 * Random bytes are good enough here, and real ones are repeated.
 */
export const plain: readonly string[] = [
  // Layouts of sealed lists and of pointers: `tests/unit/money`, `tests/unit/data`.
  'duplicate.entry',
  'outputs.entries',
  'page.entries',
  'putPointer.record',
  'storePointer.record',
  'pointer.record',
  'copies.record',
  'money.message',
  // Dealings: `tests/unit/crypto`. Genuine signed ones: `sign-as-sender.ts`.
  'dealing.body',
  // Pieces of files.
  'putChunk.bytes',
  'storeChunk.bytes',
  'chunk.bytes',
  // Hashes of a record's contents: any 32 bytes are valid.
  'item.digest',
  'items.digest',
  // Proofs and certificates in refusals: tested at the requesting side.
  'redirect.proof',
  'retry.proof',
  'proof.proof',
  'conflict.evidence',
  'spent.certificate',
  'refusal.sealed.links',
  // The envelope; its content is a payload here: `tests/unit/roles/wire/codecs.test.ts`.
  'deliver.message',
];

export const isPlain = (path: string): boolean =>
  plain.some((end) => path === end || path.endsWith(`.${end}`));
