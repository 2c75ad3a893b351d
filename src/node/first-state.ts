/**
 * How a node that is no member learns what state its network is in. Anybody may answer, so nobody's
 * answer ends the search: nodes are asked in turn, two at a time, and only the section's own sealed state
 * that names this node does. What is told is a hint: the section's machine verifies what follows from it.
 */
import { nameToId } from '#address/xor-name.ts';
import { err, type Result } from '#core/result.ts';
import { decodeSignedAuthority, type SignedAuthority } from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest } from '#roles/wire/client.ts';
import type { AskNode } from './read-sections.ts';

/** While nothing is known, at first and later; and while a state is known that may be an old one. */
const seekEveryMs = 1_000;
const seekLaterEveryMs = 5_000;
const seekAgainEveryMs = 15_000;
/** After so many searches the next ones come more slowly. */
const quickSearches = 15;
/** Nodes that one search asks in each of its two lists, one after the other, until one tells a state. */
const mostAsked = 4;

export interface Asked {
  readonly own: Uint8Array;
  /** Members, as the join point or a proven state names them: strangers cannot add to these. */
  readonly trusted: () => readonly Uint8Array[];
  /** All nodes with an address. */
  readonly names: () => readonly Uint8Array[];
  readonly request: (node: Uint8Array, request: Uint8Array) => Promise<Result<Uint8Array, unknown>>;
}

export interface StateAnswer {
  /** An encoded signed authority, unchecked: that of the section the answering node belongs to. */
  readonly authority: Uint8Array;
  /** Asks the same node. */
  readonly ask: AskNode;
}

/**
 * @returns asks two nodes that tell a state, one of the trusted and one of all, each time the next ones.
 *   Names cost nothing: however many strangers there are, a trusted one is among those that are asked.
 */
export function createStateAsking(asked: Asked): () => Promise<readonly StateAnswer[]> {
  const self = nameToId(asked.own);
  const request = encodeClientRequest({ kind: 'authority' });
  const askOne = async (name: Uint8Array): Promise<readonly StateAnswer[]> => {
    const answer = await asked.request(name, request);
    const reply = answer.ok ? decodeClientReply(answer.value) : undefined;
    if (reply?.ok !== true || reply.value.kind !== 'authority') return [];
    const { authority } = reply.value;
    return [{ authority, ask: (bytes) => asked.request(name, bytes) }];
  };
  const listOf = (names: () => readonly Uint8Array[]) => {
    let turn = 0;
    return async (passed: Set<string>): Promise<readonly StateAnswer[]> => {
      const all = names().filter((name) => nameToId(name) !== self);
      for (let seen = 0, tried = 0; seen < all.length && tried < mostAsked; seen++) {
        const name = all[turn++ % all.length];
        if (name === undefined || passed.has(nameToId(name))) continue;
        passed.add(nameToId(name));
        tried += 1;
        const told = await askOne(name);
        if (told.length > 0) return told;
      }
      return [];
    };
  };
  const lists = [listOf(asked.trusted), listOf(asked.names)];
  return async () => {
    const passed = new Set<string>();
    const told = await Promise.all(lists.map((ask) => ask(passed)));
    return told.flat();
  };
}

export interface StateSearch {
  /** A state is known: its section is found, but perhaps as it once was. */
  readonly known: () => void;
  /** This node is a member: its section tells it everything from now on. */
  readonly settled: () => void;
  readonly stop: () => void;
}

/** @param take goes on with a state that was told; it never rejects */
export function startStateSearch(
  ask: () => Promise<readonly StateAnswer[]>,
  take: (told: SignedAuthority, ask: AskNode) => Promise<void>,
): StateSearch {
  let isKnown = false;
  let isOver = false;
  let searches = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const seek = async (): Promise<void> => {
    const answers = await ask().catch(() => []);
    if (isOver) return;
    await Promise.all(
      answers.map(async (answer) => {
        const told = decodeSignedAuthority(answer.authority);
        const ask: AskNode = async (bytes) => (isOver ? err('over') : answer.ask(bytes));
        if (told.ok) await take(told.value, ask);
      }),
    );
    if (isOver) return;
    searches += 1;
    const pause = searches < quickSearches ? seekEveryMs : seekLaterEveryMs;
    timer = setTimeout(() => void seek(), isKnown ? seekAgainEveryMs : pause);
  };
  const end = (): void => {
    isOver = true;
    clearTimeout(timer);
  };
  void seek();
  return {
    known: () => {
      isKnown = true;
    },
    settled: end,
    stop: end,
  };
}
