/**
 * What a bootstrap node does for clients once its network is born: it follows the sections, answers
 * who the elders are and where, and keeps what it has verified. The same alone and within `npm start`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { concat, Writer } from '#core/codec/bytes.ts';
import type { NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import type { SignedAuthority, TrustAnchor } from '#protocol/section/index.ts';
import { maxPinsBytes } from '#roles/light-client/pins.ts';
import type { Lane } from '#roles/load.ts';
import { decodeNodeRequest, encodeNodeReply } from '#roles/wire/node.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { replaceFile } from '#storage/node/data-folder.ts';
import type { AddressBook } from './address-book.ts';
import { createGuideService, type ClientService } from './elder-service.ts';
import { followSections, type FollowOptions, type SectionFollower } from './follow-sections.ts';
import type { Gate } from './gate.ts';
import type { Greeter } from './greeter.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { createSigner, isSignedBy } from './native-ed25519.ts';
import type { NodeIdentity } from './node-folder.ts';

export interface BootstrapGuideOptions {
  readonly identity: NodeIdentity;
  /** Learns who is a member, and serves the client protocol from now on. */
  readonly host: Pick<NodeHost, 'know' | 'serve'>;
  readonly anchor: TrustAnchor;
  /** Verified: the state with which the network was born. */
  readonly born: SignedAuthority;
  readonly book: AddressBook;
  readonly jobs: Pick<JobPool, 'run'>;
  readonly request: FollowOptions['request'];
  readonly log: Log;
  readonly metrics: Metrics;
  readonly refreshEveryMs?: number;
}

export interface BootstrapGuide {
  readonly sections: SectionFollower;
  readonly service: ClientService;
  /** Members wait in a lane of their own: names of others cost nothing. */
  readonly laneOf: (name: Uint8Array | null) => Lane;
  readonly stop: () => void;
}

const sectionsFile = 'sections';
const everyMs = 10_000;
/** As many as fit into one answer. */
const maxRecordsAnswered = 16;

export async function openBootstrapGuide(options: BootstrapGuideOptions): Promise<BootstrapGuide> {
  const { identity, book, log, metrics } = options;
  const { label, name } = identity;
  const path = join(identity.folder, sectionsFile);
  const pinKnown = (): void => {
    const names = [...sections.members(), ...sections.elders(), name];
    book.pin(new Set(names.map(nameToId)));
  };
  const sections = await followSections({
    ...options,
    kept: keptIn(path, identity, options.anchor),
    keep: (bytes) => {
      // A full disk must not end the program: what is not kept is asked for again.
      try {
        const signature = createSigner(identity.seed)(signedBytes(options.anchor, bytes));
        replaceFile(path, concat(Uint8Array.of(signedVersion), signature, bytes), 0o600);
      } catch (error) {
        log.write({ event: 'sectionsNotKept', node: label, error: String(error) });
      }
    },
    others: book.pinned,
    records: (records) => {
      for (const record of records) book.offer(record);
    },
    changed: pinKnown,
    forked: ({ first }) =>
      log.write({ event: 'forked', node: label, kind: `epoch ${first.record.epoch}` }),
  });
  pinKnown();
  const recordsOf = (names: readonly Uint8Array[]): readonly Uint8Array[] =>
    names.flatMap((each) => book.recordOf(each) ?? []).slice(0, maxRecordsAnswered);
  const service = createGuideService({
    label,
    name,
    role: 'bootstrap',
    signed: sections.signed,
    addresses: () => recordsOf(sections.elders()),
    view: () => ({ tree: sections.tree(), own: sections.signed() }),
    records: recordsOf,
    log,
    metrics,
  });
  options.host.know(sections.isMember);
  await options.host.serve('client', networkTag(options.anchor.networkId), service.handle);
  const laneOf = (from: Uint8Array | null): Lane =>
    from !== null && sections.isMember(from) ? 'system' : 'outside';
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void sections.refresh().finally(() => {
      looking = false;
    });
  }, options.refreshEveryMs ?? everyMs);
  return { sections, service, laneOf, stop: () => clearInterval(timer) };
}

const notHere = {
  kind: 'refused',
  refusal: { kind: 'notAllowed', rule: 'sectionProtocol' },
} as const;

/** The section protocol of a bootstrap node: it is a member of nothing, so it only greets. */
export async function serveGreetings(
  host: Pick<NodeHost, 'serve'>,
  tag: string,
  gate: Gate,
  laneOf: BootstrapGuide['laneOf'],
  greeter: Pick<Greeter, 'answer'>,
): Promise<void> {
  await host.serve('section', tag, async (bytes, from) => {
    const answered = await gate.enter(laneOf(from.name), from, bytes.length, async () => {
      const asked = decodeNodeRequest(bytes);
      if (!asked.ok) from.invalid();
      if (!asked.ok || asked.value.kind !== 'greet' || from.name === null) return notHere;
      return greeter.answer(asked.value, from.name, from.address);
    });
    return encodeNodeReply(
      answered.ok ? answered.value : { kind: 'refused', refusal: answered.error },
    );
  });
}

/** In front of this node's signature and the pins; pins alone begin with a lower number. */
const signedVersion = 3;
const headerBytes = 1 + 64;

const signedBytes = ({ networkId }: TrustAnchor, pins: Uint8Array): Uint8Array =>
  new Writer().label('safe/v1/kept-sections').fixed(networkId, 32).sized(pins).finish();

/** @throws when the file is there and cannot be read. */
function keptIn(path: string, { name }: NodeIdentity, anchor: TrustAnchor): FollowOptions['kept'] {
  if (!existsSync(path)) return null;
  const file = new Uint8Array(readFileSync(path));
  if (file.length > headerBytes + maxPinsBytes) return null;
  if (file[0] !== signedVersion) return { bytes: file, isOurs: false };
  const bytes = file.slice(headerBytes);
  const signature = file.slice(1, headerBytes);
  return { bytes, isOurs: isSignedBy(name, signedBytes(anchor, bytes), signature) };
}
