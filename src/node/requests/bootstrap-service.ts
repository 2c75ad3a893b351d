/**
 * A bootstrap node's service for clients after genesis: it follows the sections, answers who the elders
 * are and their addresses, and stores what it has verified. The same alone and within `npm start`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nameToId } from '#address/xor-name.ts';
import { concat, Writer } from '#core/codec/bytes.ts';
import type { NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import type { SignedAuthority, TrustAnchor } from '#protocol/section/index.ts';
import { maxTrustStoreBytes } from '#roles/light-client/stored-sections.ts';
import type { Lane } from '#roles/request-lanes.ts';
import { decodeNodeRequest, encodeNodeReply } from '#roles/wire/node-requests.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { replaceFile } from '#storage/node/data-folder.ts';
import type { AddressBook } from '../peers/address-book.ts';
import { createClientHandler } from './client-handler.ts';
import { createRedirectService } from './elder-service.ts';
import {
  followSections,
  type SectionFollowerOptions,
  type SectionFollower,
} from '../section/section-follower.ts';
import type { AdmissionControl } from './admission-control.ts';
import type { PeerExchange } from '../peers/peer-exchange.ts';
import type { Log } from '../monitoring/log.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import { createSigner, isSignedBy } from '../keys/native-ed25519.ts';
import type { NodeIdentity } from '../data-folder/node-identity.ts';

export interface BootstrapServiceOptions {
  readonly identity: NodeIdentity;
  /** Receives the membership check, and serves the client protocol from now on. */
  readonly host: Pick<NodeHost, 'setMembership' | 'serve'>;
  readonly anchor: TrustAnchor;
  /** Verified: the network's genesis state. */
  readonly firstState: SignedAuthority;
  readonly book: AddressBook;
  readonly jobs: Pick<JobPool, 'run'>;
  readonly request: SectionFollowerOptions['request'];
  readonly log: Log;
  readonly metrics: Metrics;
  /** Shared with the lobby and the exchange of addresses. */
  readonly admission: AdmissionControl;
  readonly refreshEveryMs?: number;
}

export interface BootstrapService {
  readonly sections: SectionFollower;
  /** Members wait in their own lane: other names are free. */
  readonly laneOf: (name: Uint8Array | null) => Lane;
  readonly stop: () => void;
}

const sectionsFile = 'sections';
const refreshEveryMs = 10_000;
/** As many as fit into one answer. */
const maxRecordsAnswered = 16;

export async function openBootstrapService(
  options: BootstrapServiceOptions,
): Promise<BootstrapService> {
  const { identity, book, log, metrics } = options;
  const { label, name } = identity;
  const path = join(identity.folder, sectionsFile);
  const pinKnown = (): void => {
    const names = [...sections.members(), ...sections.elders(), name];
    book.pin(new Set(names.map(nameToId)));
  };
  const sections = await followSections({
    ...options,
    saved: loadSections(path, identity, options.anchor),
    save: (bytes) => {
      // A full disk must not end the program: unsaved states are requested again.
      try {
        const signature = createSigner(identity.seed)(signedBytes(options.anchor, bytes));
        replaceFile(path, concat(Uint8Array.of(signedVersion), signature, bytes), 0o600);
      } catch (error) {
        log.write({ event: 'sectionsNotSaved', node: label, error: String(error) });
      }
    },
    fallbackNodes: book.pinned,
    records: (records) => {
      for (const record of records) book.offer(record);
    },
    onChange: pinKnown,
    onFork: ({ first }) =>
      log.write({ event: 'forked', node: label, kind: `epoch ${first.record.epoch}` }),
  });
  pinKnown();
  const recordsOf = (names: readonly Uint8Array[]): readonly Uint8Array[] =>
    names.flatMap((each) => book.recordOf(each) ?? []).slice(0, maxRecordsAnswered);
  const service = createRedirectService({
    name,
    role: 'bootstrap',
    signed: sections.signed,
    addresses: () => recordsOf(sections.elders()),
  });
  const handle = createClientHandler({
    ...{ label, log, metrics, admission: options.admission },
    answer: service.answer,
    view: () => ({ tree: sections.tree(), own: sections.signed() }),
    records: recordsOf,
  });
  options.host.setMembership(sections.isMember);
  await options.host.serve('client', networkTag(options.anchor.networkId), handle);
  const laneOf = (from: Uint8Array | null): Lane =>
    from !== null && sections.isMember(from) ? 'system' : 'outside';
  let isRefreshing = false;
  const timer = setInterval(() => {
    if (isRefreshing) return;
    isRefreshing = true;
    void sections.refresh().finally(() => {
      isRefreshing = false;
    });
  }, options.refreshEveryMs ?? refreshEveryMs);
  return { sections, laneOf, stop: () => clearInterval(timer) };
}

const notAMember = {
  kind: 'refused',
  refusal: { kind: 'notAllowed', rule: 'sectionProtocol' },
} as const;

/** The section protocol of a bootstrap node: not a member, it only exchanges addresses. */
export async function servePeerExchange(
  host: Pick<NodeHost, 'serve'>,
  tag: string,
  admission: AdmissionControl,
  laneOf: BootstrapService['laneOf'],
  peerExchange: Pick<PeerExchange, 'answer'>,
): Promise<void> {
  await host.serve('section', tag, async (bytes, from) => {
    const answered = await admission.run(laneOf(from.name), from, bytes.length, async () => {
      const asked = decodeNodeRequest(bytes);
      if (!asked.ok) from.reportInvalid();
      if (!asked.ok || asked.value.kind !== 'exchangeAddresses' || from.name === null)
        return notAMember;
      return peerExchange.answer(asked.value, from.name, from.address);
    });
    return encodeNodeReply(
      answered.ok ? answered.value : { kind: 'refused', refusal: answered.error },
    );
  });
}

/** Precedes this node's signature and the pins; a file of pins alone begins with a lower number. */
const signedVersion = 3;
const headerBytes = 1 + 64;

const signedBytes = ({ networkId }: TrustAnchor, pins: Uint8Array): Uint8Array =>
  new Writer().label('safe/v1/kept-sections').fixed(networkId, 32).sized(pins).finish();

/** @throws when the file exists and cannot be read. */
function loadSections(
  path: string,
  { name }: NodeIdentity,
  anchor: TrustAnchor,
): SectionFollowerOptions['saved'] {
  if (!existsSync(path)) return null;
  const file = new Uint8Array(readFileSync(path));
  if (file.length > headerBytes + maxTrustStoreBytes) return null;
  if (file[0] !== signedVersion) return { bytes: file, isOurs: false };
  const bytes = file.slice(headerBytes);
  const signature = file.slice(1, headerBytes);
  return { bytes, isOurs: isSignedBy(name, signedBytes(anchor, bytes), signature) };
}
