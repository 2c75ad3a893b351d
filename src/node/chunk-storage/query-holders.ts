/** Runs the query that `roles/holder-query.ts` decides: asks adults, waits, asks the next one. */
import { nameToId } from '#address/xor-name.ts';
import type { NodeId } from '#core/machine.ts';
import {
  nextHolders,
  isQueryComplete,
  startHolderQuery,
  withAnswer,
  type HolderQuery,
  type HolderAnswer,
} from '#roles/holder-query.ts';
import {
  decodeNodeReply,
  encodeNodeRequest,
  type NodeReply,
  type NodeRequest,
} from '#roles/wire/node-requests.ts';
import type { Log } from '../monitoring/log.ts';
import type { Misbehaviour } from '../section/section-handle.ts';
import type { RequestPeer } from '../peers/node-links.ts';

export interface HolderQueryOptions {
  readonly label: string;
  /** Sends one request of the data protocol to an adult. */
  readonly request: RequestPeer;
  /** A holder's misbehaviour, for fault detection (N7). */
  readonly misbehaved: (holder: NodeId, issue: Misbehaviour) => void;
  readonly log: Log;
}

interface HolderSearch {
  readonly candidates: readonly Uint8Array[];
  /** Asked last, like holders that failed recently. */
  readonly avoid: readonly Uint8Array[];
  readonly wanted: number;
  readonly isGood: (answer: HolderAnswer) => boolean;
}

/** The answer in a holder's reply, or the rule that the reply violates. */
type ReplyCheck = (reply: NodeReply, holder: Uint8Array) => HolderAnswer | string;

/** Sends holders one request until there are enough good answers or all have answered. */
export type QueryHolders = (
  search: HolderSearch,
  request: NodeRequest,
  check: ReplyCheck,
) => Promise<HolderQuery>;

/** An adult on the same continent answers long before this; then the next one is asked as well. */
const nextHolderAfterMs = 1_500;
/** A holder that failed is asked last for this long; an error here only changes the order. */
const failureRememberedMs = 20_000;
/** Failures of an honest holder are possible, too. */
const honestFailures: ReadonlySet<string> = new Set(['noAnswer', 'noReceipt']);

export function createHolderQueries(options: HolderQueryOptions): QueryHolders {
  const recentFailures = createRecentFailures();
  const blame = (holder: Uint8Array, rule: string): HolderAnswer => {
    recentFailures.add(holder);
    options.misbehaved(nameToId(holder), honestFailures.has(rule) ? 'missingCopy' : 'provable');
    options.log.write({ event: 'holderFailed', node: options.label, peer: nameToId(holder), rule });
    return { kind: 'failed' };
  };
  const ask = async (
    holder: Uint8Array,
    request: Uint8Array,
    check: ReplyCheck,
  ): Promise<HolderAnswer> => {
    const answer = await options.request(holder, request);
    if (!answer.ok) return blame(holder, 'noAnswer');
    const reply = decodeNodeReply(answer.value);
    if (!reply.ok) return blame(holder, 'malformed');
    const checked = check(reply.value, holder);
    if (typeof checked === 'string') return blame(holder, checked);
    recentFailures.clear(holder);
    return checked;
  };
  return ({ candidates, avoid, wanted, isGood }, request, check) => {
    // Encoded once for all holders: up to a mebibyte is not copied again.
    const encoded = encodeNodeRequest(request);
    const first = startHolderQuery(candidates, avoid, recentFailures.ids());
    return runQuery(first, wanted, isGood, (holder) => ask(holder, encoded, check));
  };
}

/** Resolves when there are enough good answers or all holders have answered. `ask` never rejects. */
function runQuery(
  first: HolderQuery,
  wanted: number,
  isGood: (answer: HolderAnswer) => boolean,
  ask: (holder: Uint8Array) => Promise<HolderAnswer>,
): Promise<HolderQuery> {
  return new Promise((resolve) => {
    let query = first;
    let isDone = false;
    const advance = (isTimedOut: boolean): void => {
      if (isDone) return;
      if (isQueryComplete(query, wanted, isGood)) {
        isDone = true;
        clearInterval(timer);
        resolve(query);
        return;
      }
      const [next, holders] = nextHolders(query, wanted, isGood, isTimedOut);
      query = next;
      for (const holder of holders) {
        void ask(holder).then((answer) => {
          query = withAnswer(query, { holder, answer });
          advance(false);
        });
      }
    };
    const timer = setInterval(() => advance(true), nextHolderAfterMs);
    advance(false);
  });
}

function createRecentFailures() {
  const untilById = new Map<NodeId, number>();
  return {
    ids: (): ReadonlySet<NodeId> => {
      for (const [id, until] of untilById) if (until <= Date.now()) untilById.delete(id);
      return new Set(untilById.keys());
    },
    add: (name: Uint8Array) => void untilById.set(nameToId(name), Date.now() + failureRememberedMs),
    clear: (name: Uint8Array) => void untilById.delete(nameToId(name)),
  };
}
