/**
 * `safe network status`: what at least two nodes say about the network's sections, and whether it
 * follows from the network's first key.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { showPrefix } from '#address/prefix.ts';
import { ageOf, nameToId } from '#address/xor-name.ts';
import { equalBytes, fromHex, toHex } from '#core/codec/bytes.ts';
import { createAskingHost, type NodeHost } from '#network/node-host.ts';
import { networkTag } from '#network/protocols.ts';
import {
  decodeAddressRecord,
  decodeSignedAuthority,
  type SectionAuthority,
  type TrustAnchor,
} from '#protocol/section/index.ts';
import { decodeProof, encodeProof } from '#protocol/anti-entropy/index.ts';
import { decodeClientReply, encodeClientRequest, encodeCover } from '#roles/wire/client.ts';
import { Problem } from '#storage/node/problem.ts';
import { createAddressBook } from './address-book.ts';
import { askLobby, parseJoinPoint } from './arrival.ts';
import { parseNetworkFile } from './network-file.ts';
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
  /** The state follows from the network's first key. */
  readonly verified: boolean;
  /** How many of the asked nodes hold exactly this state. */
  readonly agreed: number;
  /**
   * How many members of this state told it, or another one under its key. Names cost nothing: two nodes
   * that are no members may be one person's, who shows what is long over.
   */
  readonly agreedMembers: number;
  readonly elders: readonly StatusNode[];
  readonly members: readonly StatusNode[];
  /** Hex: pages of links, the last with the authority, for a release to ship (N33). */
  readonly proofs: readonly string[];
}

export interface NetworkStatus {
  readonly network: { readonly name: string; readonly networkId: string };
  /** Nodes that answered. */
  readonly answered: readonly { readonly name: string; readonly role: string }[];
  /** Nodes that were asked and did not. */
  readonly silent: readonly string[];
  readonly sections: readonly SectionStatus[];
}

const timeoutMs = 4_000;
const leastAnswers = 2;

/** @returns the exit code: 0 when two members tell each state and it is verified. Errors: Problem. */
export async function showStatus(command: StatusCommand): Promise<number> {
  const status = await readStatus(command);
  process.stdout.write(command.json ? `${JSON.stringify(status)}\n` : inWords(status));
  const isSure = ({ verified, agreedMembers }: SectionStatus): boolean =>
    verified && agreedMembers >= leastAnswers;
  return status.sections.length > 0 && status.sections.every(isSure) ? 0 : 1;
}

export async function readStatus(command: StatusCommand): Promise<NetworkStatus> {
  const kept = command.data === null ? null : fromFolder(command.data);
  const joinText = command.join ?? kept?.join ?? null;
  const at = joinText === null ? undefined : parseJoinPoint(joinText);
  if (joinText !== null && at === undefined) {
    throw new Problem(
      'broken',
      `"${joinText}" is not the address of a node: copy the line that "safe network create" printed, for --join MULTIADDR.`,
    );
  }
  const host = await createAskingHost();
  try {
    const told = at === undefined ? null : await askLobby(host, at, { kind: 'which' });
    // What this folder belongs to is known better here than at a join point.
    const file = kept?.file ?? (told?.kind === 'network' ? told.file : undefined);
    const parsed = file === undefined ? undefined : parseNetworkFile(file);
    const other =
      told?.kind === 'network' ? parseNetworkFile(told.file)?.file.networkId : undefined;
    if (parsed !== undefined && other !== undefined && other !== parsed.file.networkId) {
      throw new Problem(
        'broken',
        `The node at ${joinText ?? ''} tells another network than the one of this folder: ask another node with --join MULTIADDR, or leave --data out.`,
      );
    }
    if (parsed === undefined) throw unreachable(joinText);
    const book = createAddressBook(parsed.anchor.networkId, null);
    // Whom the folder knows is asked, too: a join point may name its own nodes alone.
    const records = [...(kept?.records ?? []), ...(told?.kind === 'network' ? told.records : [])];
    for (const record of records) book.offer(record);
    const asked = book.names();
    const answers = await Promise.all(
      asked.map((name) => askNode(host, name, book.addressesOf(name), parsed.anchor)),
    );
    const answered = answers.flatMap((answer) => (answer === null ? [] : [answer]));
    if (answered.length < leastAnswers) throw unreachable(joinText);
    return {
      network: { name: parsed.file.name, networkId: parsed.file.networkId },
      answered: answered.map(({ name, role }) => ({ name: toHex(name), role })),
      silent: asked.filter((_, n) => answers[n] === null).map(toHex),
      sections: sectionsIn(answered),
    };
  } finally {
    await host.stop();
  }
}

export interface Answer {
  readonly name: Uint8Array;
  readonly role: string;
  readonly authority: SectionAuthority | null;
  readonly verified: boolean;
  readonly proofs: readonly string[];
}

async function askNode(
  host: NodeHost,
  name: Uint8Array,
  addresses: readonly string[],
  anchor: TrustAnchor,
): Promise<Answer | null> {
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
  const told = about?.kind === 'authority' ? decodeSignedAuthority(about.authority) : undefined;
  if (told?.ok !== true) return { name, role, authority: null, verified: false, proofs: [] };
  const place = told.value.authority.prefix.bits;
  const proven = await proveState(anchor, told.value, async (from) => {
    const reply = await ask(encodeCover({ kind: 'section', name: place, from }));
    const page = reply?.kind === 'proof' ? decodeProof(reply.proof) : undefined;
    return page?.ok === true ? page.value : null;
  });
  return { name, role, ...proven, proofs: proven.proofs.map((page) => toHex(encodeProof(page))) };
}

/** The newest state per prefix; a state that does not verify never hides one that does. */
export function sectionsIn(answers: readonly Answer[]): readonly SectionStatus[] {
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
    agreedMembers: membersTelling(answers, authority),
    elders: shown(authority.elders),
    members: shown(authority.members),
    proofs,
  }));
}

function membersTelling(
  answers: readonly Answer[],
  { key, members, elders }: SectionAuthority,
): number {
  const inside = new Set([...members, ...elders].map(({ name }) => nameToId(name)));
  const telling = answers.filter(
    ({ name, authority }) =>
      authority !== null && equalBytes(authority.key, key) && inside.has(nameToId(name)),
  );
  return new Set(telling.map(({ name }) => nameToId(name))).size;
}

function fromFolder(data: string): {
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
      `${data} keeps no network: name the folder of a running node with --data DIR, or use --join MULTIADDR.`,
    );
  }
  return { join: at, file, records };
}

const unreachable = (at: string | null): Problem =>
  new Problem(
    'broken',
    at === null
      ? `Fewer than ${leastAnswers} of the nodes this folder knows answer: check that they run, or ask another with --join MULTIADDR.`
      : `Fewer than ${leastAnswers} nodes of the network at ${at} answer: check that it runs, or ask another node with --join MULTIADDR.`,
  );

const fewMembers = (count: number): string =>
  `Of its own members ${count === 0 ? 'none' : 'only one'} told it, so it may be an old state: ask other nodes with --join MULTIADDR.`;

function inWords(status: NetworkStatus): string {
  const lines = [
    `Network ${status.network.name}: ${status.answered.length} nodes answered, ${status.silent.length} did not.`,
  ];
  for (const section of status.sections) {
    const { prefix, epoch, generation, verified, elders, members, agreed, agreedMembers } = section;
    lines.push(
      `Section ${prefix}, epoch ${epoch}, generation ${generation}: ${verified ? 'verified' : 'NOT VERIFIED'}, told by ${agreed}.`,
      ...(agreedMembers >= leastAnswers ? [] : [`  ${fewMembers(agreedMembers)}`]),
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
