/**
 * `safe network status`: the states of the network's sections that at least two nodes report, and
 * whether they verify under the network's genesis key.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { showPrefix } from '#address/prefix.ts';
import { ageOf, nameToId } from '#address/xor-name.ts';
import { equalBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import { createDialOnlyHost, type NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import {
  decodeAddressRecord,
  decodeSignedAuthority,
  type SectionAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { decodeProof, encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  decodeClientReply,
  encodeClientRequest,
  encodeRoutingRequest,
} from '#roles/wire/client.ts';
import { Problem } from '#storage/node/problem.ts';
import { createAddressBook } from '../peers/address-book.ts';
import { queryLobby, parseJoinPoint } from '../joining/network-join.ts';
import { parseSavedNetworkFile } from '#roles/wire/network-file.ts';
import type { Command } from './safe-args.ts';
import { proveState } from './status-proof.ts';

type StatusCommand = Extract<Command, { kind: 'status' }>;

export interface StatusNode {
  readonly name: string;
  readonly age: number;
}

export interface SectionStatus {
  readonly prefix: string;
  readonly key: string;
  readonly epoch: number;
  readonly generation: number;
  /** The state verifies under the network's genesis key. */
  readonly verified: boolean;
  /** The number of asked nodes that hold exactly this state. */
  readonly agreed: number;
  /**
   * The number of members of this state that reported a state under its key. Names are free: two nodes
   * that are not members may belong to one person, and report a state that is long over.
   */
  readonly agreedMembers: number;
  readonly elders: readonly StatusNode[];
  readonly members: readonly StatusNode[];
  /** Hex: chain pages, the last one with the authority, for a release to ship (N33). */
  readonly proofs: readonly string[];
}

export interface NetworkStatus {
  readonly network: { readonly name: string; readonly networkId: string };
  /** Nodes that answered. */
  readonly answered: readonly { readonly name: string; readonly role: string }[];
  /** Nodes that were asked and did not answer. */
  readonly unresponsive: readonly string[];
  readonly sections: readonly SectionStatus[];
}

const timeoutMs = 4_000;
const minAnswers = 2;

/** @returns exit code 0 when each state is verified and two members report it. Errors: Problem. */
export async function showStatus(command: StatusCommand): Promise<number> {
  const status = await readStatus(command);
  process.stdout.write(command.json ? `${JSON.stringify(status)}\n` : statusText(status));
  const isSure = ({ verified, agreedMembers }: SectionStatus): boolean =>
    verified && agreedMembers >= minAnswers;
  return status.sections.length > 0 && status.sections.every(isSure) ? 0 : 1;
}

export async function readStatus(command: StatusCommand): Promise<NetworkStatus> {
  const kept = command.data === null ? null : readFolder(command.data);
  const joinText = command.join ?? kept?.join ?? null;
  const at = joinText === null ? undefined : parseJoinPoint(joinText);
  if (joinText !== null && at === undefined) {
    throw new Problem(
      'broken',
      `"${joinText}" is not the address of a node: copy the line that "safe network create" printed, for --join MULTIADDR.`,
    );
  }
  const host = await createDialOnlyHost();
  try {
    const reported = at === undefined ? null : await queryLobby(host, at, { kind: 'describe' });
    // The folder knows its network better than a join point does.
    const file = kept?.file ?? (reported?.kind === 'network' ? reported.file : undefined);
    const parsed = file === undefined ? undefined : parseSavedNetworkFile(file);
    const other =
      reported?.kind === 'network'
        ? parseSavedNetworkFile(reported.file)?.file.networkId
        : undefined;
    if (parsed !== undefined && other !== undefined && other !== parsed.file.networkId) {
      throw new Problem(
        'broken',
        `The node at ${joinText ?? ''} reports another network than the one of this folder: ask another node with --join MULTIADDR, or leave --data out.`,
      );
    }
    if (parsed === undefined) throw tooFewAnswers(joinText);
    const book = createAddressBook(parsed.anchor.networkId, null);
    // Nodes known to the folder are asked, too: a join point may name only its own nodes.
    const records = [
      ...(kept?.records ?? []),
      ...(reported?.kind === 'network' ? reported.records : []),
    ];
    for (const record of records) book.offer(record);
    const asked = book.names();
    const answers = await Promise.all(
      asked.map((name) => queryNode(host, name, book.addressesOf(name), parsed.anchor)),
    );
    const answered = answers.flatMap((answer) => (answer === null ? [] : [answer]));
    if (answered.length < minAnswers) throw tooFewAnswers(joinText);
    return {
      network: { name: parsed.file.name, networkId: parsed.file.networkId },
      answered: answered.map(({ name, role }) => ({ name: toHex(name), role })),
      unresponsive: asked.filter((_, n) => answers[n] === null).map(toHex),
      sections: sectionsIn(answered),
    };
  } finally {
    await host.stop();
  }
}

export interface NodeAnswer {
  readonly name: Uint8Array;
  readonly role: string;
  readonly authority: SectionAuthority | null;
  readonly verified: boolean;
  readonly proofs: readonly string[];
}

async function queryNode(
  host: NodeHost,
  name: Uint8Array,
  addresses: readonly string[],
  anchor: TrustAnchor,
): Promise<NodeAnswer | null> {
  const tag = networkTag(anchor.networkId);
  const ask = async (request: Uint8Array) => {
    const answer = await host.request({ name, addresses }, 'client', tag, request, { timeoutMs });
    const reply = answer.ok ? decodeClientReply(answer.value) : undefined;
    return reply?.ok === true ? reply.value : null;
  };
  const hello = await ask(encodeClientRequest({ kind: 'hello' }));
  if (hello?.kind !== 'hello') return null;
  const { role } = hello;
  const about = await ask(encodeClientRequest({ kind: 'authority' }));
  const reported = about?.kind === 'authority' ? decodeSignedAuthority(about.authority) : undefined;
  if (reported?.ok !== true) return { name, role, authority: null, verified: false, proofs: [] };
  const place = reported.value.authority.prefix.bits;
  const proven = await proveState(anchor, reported.value, async (from) => {
    const reply = await ask(encodeRoutingRequest({ kind: 'section', name: place, from }));
    const page = reply?.kind === 'proof' ? decodeProof(reply.proof) : undefined;
    return page?.ok === true ? page.value : null;
  });
  return { name, role, ...proven, proofs: proven.proofs.map((page) => toHex(encodeProof(page))) };
}

/** The newest state per prefix; an unverified state never replaces a verified one. */
export function sectionsIn(answers: readonly NodeAnswer[]): readonly SectionStatus[] {
  const best = new Map<
    string,
    {
      authority: SectionAuthority;
      verified: boolean;
      proofs: readonly string[];
      agreed: number;
    }
  >();
  for (const { authority, verified, proofs } of answers) {
    if (authority === null) continue;
    const prefix = showPrefix(authority.prefix);
    const before = best.get(prefix);
    const newer =
      before === undefined ||
      (verified && !before.verified) ||
      (verified === before.verified && authority.generation > before.authority.generation);
    if (newer) best.set(prefix, { authority, verified, proofs, agreed: 1 });
    else if (
      toHex(authority.key) === toHex(before.authority.key) &&
      authority.generation === before.authority.generation
    ) {
      before.agreed += 1;
    }
  }
  const shown = (names: readonly { readonly name: Uint8Array }[]): readonly StatusNode[] =>
    names.map(({ name }) => ({ name: toHex(name), age: ageOf(name) }));
  return [...best.entries()].sort().map(([prefix, { authority, verified, proofs, agreed }]) => ({
    prefix,
    key: toHex(authority.key),
    epoch: Number(authority.epoch),
    generation: Number(authority.generation),
    verified,
    agreed,
    agreedMembers: membersReporting(answers, authority),
    elders: shown(authority.elders),
    members: shown(authority.members),
    proofs,
  }));
}

function membersReporting(
  answers: readonly NodeAnswer[],
  { key, members, elders }: SectionAuthority,
): number {
  const inside = new Set([...members, ...elders].map(({ name }) => nameToId(name)));
  const reporting = answers.filter(
    ({ name, authority }) =>
      authority !== null && equalBytes(authority.key, key) && inside.has(nameToId(name)),
  );
  return new Set(reporting.map(({ name }) => nameToId(name))).size;
}

function readFolder(data: string): {
  readonly join: string | null;
  readonly file: string | undefined;
  readonly records: readonly Uint8Array[];
} {
  const read = (...path: readonly string[]): string | undefined => {
    const whole = join(data, ...path);
    return existsSync(whole) ? readFileSync(whole, 'utf8') : undefined;
  };
  const lines = [
    ...(read('nodes', 'self', 'addresses') ?? '').split('\n'),
    ...(read('nodes', 'bootstrap', 'addresses') ?? '').split('\n'),
  ];
  const records = lines.filter(Boolean).flatMap((line) => {
    const bytes = fromHex(line);
    return bytes.ok && decodeAddressRecord(bytes.value).ok ? [bytes.value] : [];
  });
  const file = read('network.json');
  const at = read('join')?.trim() ?? null;
  if (file === undefined && at === null) {
    throw new Problem(
      'broken',
      `${data} contains no network: name the folder of a running node with --data DIR, or use --join MULTIADDR.`,
    );
  }
  return { join: at, file, records };
}

const tooFewAnswers = (at: string | null): Problem =>
  new Problem(
    'broken',
    at === null
      ? `Fewer than ${minAnswers} of the nodes this folder knows answer: check that they run, or ask another with --join MULTIADDR.`
      : `Fewer than ${minAnswers} nodes of the network at ${at} answer: check that it runs, or ask another node with --join MULTIADDR.`,
  );

const fewMembers = (count: number): string =>
  `${count === 0 ? 'None' : 'Only one'} of its own members reported it, so it may be an old state: ask other nodes with --join MULTIADDR.`;

function statusText(status: NetworkStatus): string {
  const lines = [
    `Network ${status.network.name}: ${status.answered.length} nodes answered, ${status.unresponsive.length} did not.`,
  ];
  for (const section of status.sections) {
    const { prefix, epoch, generation, verified, elders, members, agreed, agreedMembers } = section;
    lines.push(
      `Section ${prefix}, epoch ${epoch}, generation ${generation}: ${verified ? 'verified' : 'NOT VERIFIED'}, reported by ${agreed}.`,
      ...(agreedMembers >= minAnswers ? [] : [`  ${fewMembers(agreedMembers)}`]),
      `  key ${section.key.slice(0, 16)}…, ${elders.length} elders, ${members.length} members`,
    );
    const elderIds = new Set(elders.map(({ name }) => name));
    for (const { name, age } of members) {
      const role = elderIds.has(name) ? 'elder' : 'adult';
      lines.push(`  ${name.slice(0, 12)} age ${age} ${role}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
