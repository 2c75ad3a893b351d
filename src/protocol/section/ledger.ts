/** The section ledger, which only nodes need: its one encoding, and the hash that the seal covers. */
import { toXorName } from '#address/xor-name.ts';
import { equalBytes, Reader, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import { labelledHash } from '#crypto/hash.ts';
import { ELDER_COUNT } from './quorum.ts';
import type {
  Charter,
  DealingHashes,
  DkgSession,
  KeyOrigin,
  RelocationDetails,
  KeyPhase,
  SectionElder,
  SectionLedger,
  SessionChild,
  SnapshotRoot,
} from './state.ts';

/** 512 used certificates, 512 former names, sessions, relocations and charters: about 45 KiB. */
export const maxLedgerBytes = 64 * 1024;
const maxListed = 1024;

const phases = ['open', 'closing', 'sealed'] as const;
const reasons = ['reward', 'demotion'] as const;

export const emptyLedger: SectionLedger = {
  activated: 0n,
  vacancies: 0,
  sessions: [],
  relocating: [],
  usedCertificates: [],
  formerNames: [],
  origin: null,
  phase: { kind: 'open' },
  churnId: new Uint8Array(32),
};

/** 32 bytes: `ledgerRoot` of the authority. */
export const ledgerRootOf = (ledger: SectionLedger): Uint8Array =>
  labelledHash('safe/v1/ledger', encodeLedger(ledger));

export function encodeLedger(ledger: SectionLedger): Uint8Array {
  const writer = new Writer()
    .label('safe/v1/section-ledger')
    .u64(ledger.activated)
    .u32(ledger.vacancies)
    .fixed(ledger.churnId, 32);
  writer.u8(ledger.sessions.length);
  for (const session of ledger.sessions) writeSession(writer, session);
  writer.u32(ledger.relocating.length);
  for (const relocation of ledger.relocating) writeRelocation(writer, relocation);
  writer.u32(ledger.usedCertificates.length);
  for (const { certificateId, sourceEpoch } of ledger.usedCertificates)
    writer.fixed(certificateId, 32).u64(sourceEpoch);
  writer.u32(ledger.formerNames.length);
  for (const name of ledger.formerNames) writer.fixed(name, 32);
  writeOrigin(writer, ledger.origin);
  return writePhase(writer, ledger.phase).finish();
}

export function decodeLedger(bytes: Uint8Array): Result<SectionLedger, 'malformed'> {
  if (bytes.length > maxLedgerBytes) return err('malformed');
  const reader = new Reader(bytes);
  reader.sized(64); // The label: checked below by encoding again.
  const activated = reader.u64();
  const vacancies = reader.u32();
  const churnId = reader.fixed(32);
  const sessions = list(reader, reader.u8(), readSession);
  const relocating = list(reader, reader.u32(), readRelocation);
  const usedCertificates = list(reader, reader.u32(), () => ({
    certificateId: reader.fixed(32),
    sourceEpoch: reader.u64(),
  }));
  const formerNames = list(reader, reader.u32(), () => toXorName(reader.fixed(32)));
  const origin = readOrigin(reader);
  const phase = readPhase(reader);
  if (!reader.finish() || phase === undefined) return err('malformed');
  if (!sessions || !relocating || !usedCertificates || !formerNames) return err('malformed');
  const ledger: SectionLedger = {
    activated,
    vacancies,
    sessions,
    relocating,
    usedCertificates,
    formerNames,
    origin,
    phase,
    churnId,
  };
  return equalBytes(encodeLedger(ledger), bytes) ? ok(ledger) : err('malformed');
}

/**
 * 32 bytes: identifies one key generation. It hashes the whole session, prefixes with their bit
 * counts, and the authority that opened it, so no message of one session is valid in another.
 */
export function sessionIdOf(
  networkId: Uint8Array,
  key: Uint8Array,
  epoch: bigint,
  { opened, children }: Omit<DkgSession, 'id'>,
): Uint8Array {
  const writer = new Writer().fixed(networkId, 32).fixed(key, 96).u64(epoch).u64(opened);
  writer.u8(children.length);
  for (const child of children) writeChild(writer, child);
  return labelledHash('safe/v1/dkg-session', writer.finish());
}

/** The body of a relocation certificate; signed by the source section, purpose RELOCATION (N38). */
export const relocationBytes = (networkId: Uint8Array, relocation: RelocationDetails): Uint8Array =>
  writeRelocation(new Writer().label('safe/v1/ticket').fixed(networkId, 32), relocation).finish();

/** 32 bytes: identifies a used relocation certificate. */
export const relocationId = (networkId: Uint8Array, relocation: RelocationDetails): Uint8Array =>
  labelledHash('safe/v1/ticket-id', relocationBytes(networkId, relocation));

function list<T>(reader: Reader, count: number, read: (reader: Reader) => T): T[] | undefined {
  if (count > maxListed) return undefined;
  return Array.from({ length: count }, () => read(reader));
}

const writeSession = (writer: Writer, { id, opened, children }: DkgSession): Writer => {
  writer.fixed(id, 32).u64(opened).u8(children.length);
  for (const child of children) writeChild(writer, child);
  return writer;
};

function writeChild(writer: Writer, { prefix, candidates }: SessionChild): void {
  writer.u8(prefix.bitCount).fixed(prefix.bits, 32).u8(candidates.length);
  for (const name of candidates) writer.fixed(name, 32);
}

const readSession = (reader: Reader): DkgSession => ({
  id: reader.fixed(32),
  opened: reader.u64(),
  children: Array.from({ length: Math.min(reader.u8(), 2) }, () => ({
    prefix: { bitCount: reader.u8(), bits: reader.fixed(32) },
    candidates: Array.from({ length: Math.min(reader.u8(), ELDER_COUNT) }, () =>
      toXorName(reader.fixed(32)),
    ),
  })),
});

const writeRelocation = (writer: Writer, relocation: RelocationDetails): Writer =>
  writer
    .fixed(relocation.name, 32)
    .u8(relocation.age)
    .fixed(relocation.destination, 32)
    .u64(relocation.generation)
    .u8(reasons.indexOf(relocation.reason));

const readRelocation = (reader: Reader): RelocationDetails => ({
  name: toXorName(reader.fixed(32)),
  age: reader.u8(),
  destination: reader.fixed(32),
  generation: reader.u64(),
  reason: reader.u8() === 0 ? 'reward' : 'demotion',
});

function writeOrigin(writer: Writer, origin: KeyOrigin | null): void {
  writer.u8(origin === null ? 0 : 1);
  if (origin === null) return;
  writer.fixed(origin.session, 32).u8(origin.child);
  writeHashes(writer, origin.list);
  for (let at = 0; at < ELDER_COUNT; at++) {
    writer.fixed(origin.sharingKeys[at] ?? new Uint8Array(32), 32);
  }
}

function readOrigin(reader: Reader): KeyOrigin | null {
  if (reader.u8() === 0) return null;
  return {
    session: reader.fixed(32),
    child: reader.u8(),
    list: readHashes(reader),
    sharingKeys: Array.from({ length: ELDER_COUNT }, () => reader.fixed(32)),
  };
}

function writeHashes(writer: Writer, list: DealingHashes): void {
  for (let at = 0; at < ELDER_COUNT; at++) {
    const hash = list[at] ?? null;
    if (hash === null) writer.u8(0);
    else writer.u8(1).fixed(hash, 32);
  }
}

const readHashes = (reader: Reader): DealingHashes =>
  Array.from({ length: ELDER_COUNT }, () => (reader.u8() === 0 ? null : reader.fixed(32)));

function writePhase(writer: Writer, phase: KeyPhase): Writer {
  writer.u8(phases.indexOf(phase.kind));
  if (phase.kind === 'open') return writer;
  writer.fixed(phase.sessionId, 32).u8(phase.charters.length);
  for (const [at, charter] of phase.charters.entries()) {
    writeCharter(writer, charter);
    writeHashes(writer, phase.lists[at] ?? []);
  }
  if (phase.kind === 'closing') return writer;
  writer.u8(phase.snapshots.length);
  for (const { elder, root } of phase.snapshots) writer.u8(elder).fixed(root, 32);
  return writer.fixed(phase.sealedRoot, 32);
}

function readPhase(reader: Reader): KeyPhase | undefined {
  const kind = phases[reader.u8()];
  if (kind === undefined) return undefined;
  if (kind === 'open') return { kind };
  const sessionId = reader.fixed(32);
  const made = Array.from({ length: Math.min(reader.u8(), 2) }, () => ({
    charter: readCharter(reader),
    list: readHashes(reader),
  }));
  const charters = made.map(({ charter }) => charter);
  const lists = made.map(({ list: hashes }) => hashes);
  if (kind === 'closing') return { kind, sessionId, charters, lists };
  const snapshots = Array.from(
    { length: Math.min(reader.u8(), ELDER_COUNT) },
    (): SnapshotRoot => ({ elder: reader.u8(), root: reader.fixed(32) }),
  );
  return { kind, sessionId, charters, lists, snapshots, sealedRoot: reader.fixed(32) };
}

function writeCharter(writer: Writer, { networkId, prefix, key, epoch, elders }: Charter): void {
  writer.fixed(networkId, 32).u8(prefix.bitCount).fixed(prefix.bits, 32).fixed(key, 96).u64(epoch);
  for (const { name, publicShare } of elders) writer.fixed(name, 32).fixed(publicShare, 96);
}

const readCharter = (reader: Reader): Charter => ({
  networkId: reader.fixed(32),
  prefix: { bitCount: reader.u8(), bits: reader.fixed(32) },
  key: reader.fixed(96),
  epoch: reader.u64(),
  elders: Array.from({ length: ELDER_COUNT }, (_, at): SectionElder => ({
    name: toXorName(reader.fixed(32)),
    publicShare: reader.fixed(96),
    index: at + 1,
  })),
});
