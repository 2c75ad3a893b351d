/**
 * How a node that is not a member learns the network's state. Any peer may answer, so no answer ends
 * the search: nodes are asked in turn, two at a time, until a sealed state of the section itself names
 * this node. An answer is a hint: the section's machine verifies what follows from it.
 */
import { nameToId } from '#address/xor-name.ts';
import { err } from '#core/result.ts';
import { decodeSignedAuthority, type SignedAuthority } from '#protocol/section/index.ts';
import { decodeClientReply, encodeClientRequest } from '#roles/wire/client.ts';
import type { NodeQuery } from '../section/section-reader.ts';
import type { RequestPeer } from '../peers/node-links.ts';

/** While no state is known, at first and later; and while a state is known that may be old. */
const searchEveryMs = 1_000;
const slowSearchEveryMs = 5_000;
const recheckEveryMs = 15_000;
/** After this many searches the next ones are slower. */
const quickSearches = 15;
/** Nodes that one search asks in each of its two lists, in turn, until one sends a state. */
const nodesTriedPerList = 4;

export interface StateSources {
  readonly own: Uint8Array;
  /** Members named by the join point or a proven state: unknown peers cannot add to these. */
  readonly trusted: () => readonly Uint8Array[];
  /** All nodes with an address. */
  readonly names: () => readonly Uint8Array[];
  readonly request: RequestPeer;
}

export interface StateAnswer {
  /** An encoded signed authority, unchecked: the state of the answering node's section. */
  readonly authority: Uint8Array;
  /** Asks the same node. */
  readonly ask: NodeQuery;
}

/**
 * @returns asks one trusted node and one of all nodes for a state, each time the next ones. Names are
 *   free: however many unknown peers there are, one trusted node is always asked.
 */
export function createStateRequests(asked: StateSources): () => Promise<readonly StateAnswer[]> {
  const self = nameToId(asked.own);
  const request = encodeClientRequest({ kind: 'authority' });
  const requestState = async (name: Uint8Array): Promise<readonly StateAnswer[]> => {
    const answer = await asked.request(name, request);
    const reply = answer.ok ? decodeClientReply(answer.value) : undefined;
    if (reply?.ok !== true || reply.value.kind !== 'authority') return [];
    const { authority } = reply.value;
    return [{ authority, ask: (bytes) => asked.request(name, bytes) }];
  };
  const listOf = (names: () => readonly Uint8Array[]) => {
    let turn = 0;
    return async (triedNames: Set<string>): Promise<readonly StateAnswer[]> => {
      const all = names().filter((name) => nameToId(name) !== self);
      for (let seen = 0, tried = 0; seen < all.length && tried < nodesTriedPerList; seen++) {
        const name = all[turn++ % all.length];
        if (name === undefined || triedNames.has(nameToId(name))) continue;
        triedNames.add(nameToId(name));
        tried += 1;
        const answers = await requestState(name);
        if (answers.length > 0) return answers;
      }
      return [];
    };
  };
  const lists = [listOf(asked.trusted), listOf(asked.names)];
  return async () => {
    const triedNames = new Set<string>();
    const answers = await Promise.all(lists.map((ask) => ask(triedNames)));
    return answers.flat();
  };
}

export interface StateSearch {
  /** A state is known: the section is found, but the state may be old. */
  readonly onStateKnown: () => void;
  /** This node is a member: its section sends it every update from now on. */
  readonly onMember: () => void;
  readonly stop: () => void;
}

/** @param onState continues with a received state; it never rejects */
export function startStateSearch(
  ask: () => Promise<readonly StateAnswer[]>,
  onState: (state: SignedAuthority, ask: NodeQuery) => Promise<void>,
): StateSearch {
  let isKnown = false;
  let isOver = false;
  let searches = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const runSearch = async (): Promise<void> => {
    const answers = await ask().catch(() => []);
    if (isOver) return;
    await Promise.all(
      answers.map(async (answer) => {
        const state = decodeSignedAuthority(answer.authority);
        const ask: NodeQuery = async (bytes) => (isOver ? err('over') : answer.ask(bytes));
        if (state.ok) await onState(state.value, ask);
      }),
    );
    if (isOver) return;
    searches += 1;
    const pause = searches < quickSearches ? searchEveryMs : slowSearchEveryMs;
    timer = setTimeout(() => void runSearch(), isKnown ? recheckEveryMs : pause);
  };
  const end = (): void => {
    isOver = true;
    clearTimeout(timer);
  };
  void runSearch();
  return {
    onStateKnown: () => {
      isKnown = true;
    },
    onMember: end,
    stop: end,
  };
}
