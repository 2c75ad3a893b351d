/** A node's handlers for each protocol that it serves, behind one admission control. */
import { nameToId } from '#address/xor-name.ts';
import type { Refusal } from '#core/refusal.ts';
import type { NodeHost, Remote } from '#network/node-host.ts';
import type { SignedAuthority } from '#protocol/section/index.ts';
import { decodeNodeRequest, encodeNodeReply, type NodeReply } from '#roles/wire/node-requests.ts';
import type { AdultService } from '../chunk-storage/adult-service.ts';
import type { SavedNetworkFile } from '#roles/wire/network-file.ts';
import { serveLobby } from '../joining/lobby.ts';
import type { Log } from '../monitoring/log.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { AddressBook } from '../peers/address-book.ts';
import type { NodeLinks } from '../peers/node-links.ts';
import type { PeerExchange } from '../peers/peer-exchange.ts';
import type { NodeSections } from '../section/node-sections.ts';
import type { SectionSlot } from '../section/section-handle.ts';
import { createAdmissionControl, type AdmissionControl } from './admission-control.ts';
import { createClientHandler, refusalReply } from './client-handler.ts';
import type { ClientService } from './elder-service.ts';

export interface NodeHandlersOptions {
  readonly label: string;
  readonly host: Pick<NodeHost, 'serve'>;
  readonly file: SavedNetworkFile;
  readonly book: AddressBook;
  readonly links: NodeLinks;
  readonly sections: NodeSections;
  readonly section: SectionSlot;
  readonly adult: Pick<AdultService, 'handle'>;
  readonly peerExchange: Pick<PeerExchange, 'answer'>;
  /** The service of the current role; null before the first state. */
  readonly service: () => ClientService | null;
  /** This section's newest state whose role is in force. */
  readonly signed: () => SignedAuthority | null;
  readonly log: Log;
  readonly metrics: Metrics;
}

export async function serveNode(options: NodeHandlersOptions): Promise<void> {
  const { host, links, sections, book, signed, metrics } = options;
  const admission = createAdmissionControl(metrics);
  /** Requests of nodes: members have a lane of their own. */
  const admitted = async (
    bytes: Uint8Array,
    from: Remote,
    answer: () => Promise<Uint8Array>,
  ): Promise<Uint8Array> => {
    const lane = sections.laneOf(from.name);
    const answered = await admission.run(lane, from, bytes.length, answer);
    return answered.ok ? answered.value : encodeNodeReply(refused(answered.error));
  };
  await host.serve('client', links.tag, clientHandler(options, admission));
  await host.serve('data', links.tag, async (bytes, from) => {
    metrics.count('safe_bytes_in_total', 'data', bytes.length);
    const reply = await admitted(bytes, from, () =>
      options.adult.handle(bytes, from.name, from.reportInvalid),
    );
    metrics.count('safe_bytes_out_total', 'data', reply.length);
    return reply;
  });
  await host.serve('section', links.tag, (bytes, from) =>
    admitted(bytes, from, async () => encodeNodeReply(await answerSection(options, bytes, from))),
  );
  // Any node that knows this one may join through it.
  await serveLobby(host, admission, {
    network: () => {
      const members = signed()?.authority.members.map(({ name }) => name) ?? [];
      return { file: options.file, records: book.records(64, members, 'pinned') };
    },
  });
}

function clientHandler(options: NodeHandlersOptions, admission: AdmissionControl) {
  const { label, book, sections, service, signed, log, metrics } = options;
  return createClientHandler({
    ...{ label, log, metrics, admission },
    answer: async (request, invalid, peer) =>
      service()?.answer(request, invalid, peer) ?? refusalReply({ kind: 'busy', afterMs: 1_000 }),
    view: () => {
      const own = signed();
      return own === null ? null : { tree: sections.tree(), own };
    },
    records: (names) => names.flatMap((each) => book.recordOf(each) ?? []),
  });
}

async function answerSection(
  { links, section, peerExchange, metrics }: NodeHandlersOptions,
  bytes: Uint8Array,
  { name: from, address, reportInvalid }: Remote,
): Promise<NodeReply> {
  const count = (kind: string): void => {
    metrics.count('safe_messages_in_total', `section/${kind}`);
    metrics.count('safe_bytes_in_total', `section/${kind}`, bytes.length);
  };
  const malformed = (what: string): NodeReply => {
    count('malformed');
    reportInvalid();
    return refused({ kind: 'malformed', what });
  };
  const request = decodeNodeRequest(bytes);
  if (!request.ok) return malformed('request');
  if (from === null) return refused({ kind: 'notAllowed', rule: 'nodesOnly' });
  const { value } = request;
  if (value.kind === 'deliver' && value.protocol === 'section' && section.handle !== null) {
    links.section.markReachable(from);
    // The section's machine counts it, by the kind of its content.
    const isAccepted = await section.handle.receive(nameToId(from), value.message);
    return isAccepted ? { kind: 'accepted' } : malformed('message');
  }
  count(value.kind);
  if (value.kind === 'exchangeAddresses') return peerExchange.answer(value, from, address);
  return refused({ kind: 'notAllowed', rule: 'sectionProtocol' });
}

const refused = (refusal: Refusal): NodeReply => ({ kind: 'refused', refusal });
