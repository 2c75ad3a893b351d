/**
 * How a node that is no member learns what state its network is in. Anybody may answer, so nobody's
 * answer ends the search: nodes are asked in turn, two at a time, and only the section's own sealed state
 * that names this node does. What is told is a hint: the section's machine verifies what follows from it.
 */
import { nameToId } from '#address/xor-name.ts';
import type { Result } from '#core/result.ts';
import { decodeSignedAuthority, type SignedAuthority } from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest } from '#roles/wire/client.ts';
import type { AskNode } from './read-sections.ts';

/** While nothing is known; and while a state is known that may be an old one. */
const seekEveryMs = 1_000;
const seekAgainEveryMs = 15_000;
/** Answers of one search: of different nodes, in turn. */
const answersWanted = 2;

export interface Asked {
  readonly own: Uint8Array;
  readonly names: () => readonly Uint8Array[];
  readonly request: (node: Uint8Array, request: Uint8Array) => Promise<Result<Uint8Array, unknown>>;
}

export interface StateAnswer {
  /** An encoded signed authority, unchecked: that of the section the answering node belongs to. */
  readonly authority: Uint8Array;
  /** Asks the same node. */
  readonly ask: AskNode;
}

/** @returns asks the next nodes in turn until two have told a state; each call goes on from there. */
export function createStateAsking(asked: Asked): () => Promise<readonly StateAnswer[]> {
  const self = nameToId(asked.own);
  const request = encodeClientRequest({ kind: 'authority' });
  let next = 0;
  const askOne = async (name: Uint8Array): Promise<readonly StateAnswer[]> => {
    const answer = await asked.request(name, request);
    const reply = answer.ok ? decodeClientReply(answer.value) : undefined;
    if (reply?.ok !== true || reply.value.kind !== 'authority') return [];
    const { authority } = reply.value;
    return [{ authority, ask: (bytes) => asked.request(name, bytes) }];
  };
  return async () => {
    const names = asked.names().filter((name) => nameToId(name) !== self);
    const told: StateAnswer[] = [];
    for (let tried = 0; tried < names.length && told.length < answersWanted;) {
      const count = Math.min(answersWanted - told.length, names.length - tried);
      const some = Array.from({ length: count }, (_, n) => names[(next + n) % names.length]);
      next = (next + count) % names.length;
      tried += count;
      const answers = await Promise.all(
        some.map(async (name) => (name === undefined ? [] : askOne(name))),
      );
      told.push(...answers.flat());
    }
    return told;
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
  let timer: ReturnType<typeof setTimeout> | undefined;
  const seek = async (): Promise<void> => {
    const answers = await ask().catch(() => []);
    if (isOver) return;
    await Promise.all(
      answers.map(async (answer) => {
        const told = decodeSignedAuthority(answer.authority);
        if (told.ok) await take(told.value, answer.ask);
      }),
    );
    if (isOver) return;
    timer = setTimeout(() => void seek(), isKnown ? seekAgainEveryMs : seekEveryMs);
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
