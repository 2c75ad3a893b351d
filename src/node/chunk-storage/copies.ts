/** The copies on this node's disk: stores, fetches and checks, proves and removes them for the machine. */
import { createHash } from 'node:crypto';
import { fromHex } from '#core/codec/bytes.ts';
import type { Result } from '#core/result.ts';
import {
  heldItem,
  isAtLeast,
  itemId,
  openItem,
  provenBytes,
  type FetchOutcome,
  type Item,
  type ReplicationOutput,
} from '#protocol/replication/index.ts';
import { decodeNodeReply, encodeNodeRequest } from '#roles/wire/node-requests.ts';
import { copyIn, copyRequest, type ItemRef } from './copy-request.ts';
import { createNameLocks, limitConcurrency } from './name-locks.ts';
import type { ReplicationMachine, ReplicationServiceOptions } from './replication-machine.ts';

type OutputOf<Kind extends ReplicationOutput['kind']> = Extract<ReplicationOutput, { kind: Kind }>;

/** Own copies read for proofs at the same time: each takes up to a mebibyte of memory. */
const maxReads = 4;

export function createCopies(
  options: ReplicationServiceOptions,
  { input, idle, state, logFailure }: ReplicationMachine,
) {
  const { label, holdings, log, metrics } = options;
  const locks = createNameLocks((item) => input({ kind: 'stored', item }));
  const read = limitConcurrency(maxReads, (item: Item) => holdings.read(item));

  const fetch = async ({ id, holder, item, stateRef }: OutputOf<'fetch'>): Promise<void> => {
    const bytes = await requestCopy(
      options,
      holder,
      encodeNodeRequest(copyRequest(item, stateRef)),
    );
    if (!(bytes instanceof Uint8Array)) {
      metrics.count('safe_data_fetched_total', bytes.kind);
      return input({ kind: 'fetched', id, outcome: bytes });
    }
    await locks.write(item, async () => {
      const outcome = await storeFetched(options, item, bytes);
      metrics.count('safe_data_fetched_total', outcome.kind);
      metrics.count('safe_data_fetched_bytes_total', outcome.kind, bytes.length);
      input({ kind: 'fetched', id, outcome });
      await idle();
    });
  };

  const store = <E>(
    kept: ItemRef,
    write: () => Promise<Result<Item, E>>,
  ): Promise<Result<Item, E>> =>
    locks.write(kept, async () => {
      const stored = await write();
      if (stored.ok) {
        input({ kind: 'stored', item: stored.value });
        await idle();
      } else if (isFull(stored.error)) {
        input({ kind: 'diskFull' });
      }
      return stored;
    });

  return {
    store,
    lost: (kept: ItemRef): void => {
      const held = heldItem(state().inventory.items, itemId(kept));
      if (held === undefined || locks.isBusy(kept)) return;
      log.write({ event: 'copyLost', node: label, kind: kept.kind });
      input({ kind: 'lost', item: { kind: kept.kind, name: kept.name } });
    },
    fetch: (output: OutputOf<'fetch'>): Promise<void> =>
      fetch(output).catch((error: unknown) => {
        logFailure('fetchFailed', error);
        input({ kind: 'fetched', id: output.id, outcome: { kind: 'unresponsive' } });
      }),
    prove: async ({ id, item, challenge }: OutputOf<'prove'>): Promise<void> => {
      const bytes = await read(item).catch(() => null);
      const proof = bytes === null ? null : nativeProofOf(challenge, item.kind, bytes);
      input({ kind: 'proved', id, proof });
    },
    drop: (item: Item): void =>
      locks.drop(item, async () => {
        metrics.count('safe_data_dropped_total', item.kind);
        await holdings.remove(item).catch((error: unknown) => logFailure('dropFailed', error));
      }),
    /** Resolves when all removals have ended. */
    settled: locks.settled,
  };
}

/** The bytes of a holder's copy, or why there are none. */
async function requestCopy(
  { request }: ReplicationServiceOptions,
  holder: string,
  encoded: Uint8Array,
): Promise<Uint8Array | { readonly kind: 'missing' | 'refused' | 'unresponsive' }> {
  const from = fromHex(holder);
  const answer = from.ok ? await request(from.value, encoded) : null;
  if (answer?.ok !== true) return { kind: 'unresponsive' };
  const reply = decodeNodeReply(answer.value);
  if (!reply.ok) return { kind: 'refused' };
  const { value } = reply;
  const lacks = value.kind === 'refused' && value.refusal.kind === 'notFound';
  return copyIn(value) ?? { kind: lacks ? 'missing' : 'refused' };
}

/** REPLICATION-R5: the chunk store checks a chunk's name; a record is checked by its owner's signature. */
async function storeFetched(
  { networkId, holdings }: ReplicationServiceOptions,
  item: Item,
  bytes: Uint8Array,
): Promise<FetchOutcome> {
  const full = { kind: 'full', bytes: bytes.length } as const;
  const wrong = { kind: 'wrong', bytes: bytes.length } as const;
  if (item.kind === 'chunk') {
    const stored = await holdings.putChunk(item.name, bytes);
    if (stored.ok) return { kind: 'stored', item: stored.value };
    return stored.error === 'altered' ? wrong : full;
  }
  const opened = openItem(networkId, item, bytes);
  if (opened === undefined) return wrong;
  if (!isAtLeast(opened, item)) return { kind: 'older', bytes: bytes.length };
  const stored = await holdings.putPointer(item.name, opened.version, bytes, 'holder');
  if (stored.ok) return { kind: 'stored', item: stored.value };
  if (stored.error.kind === 'full') return full;
  // The stored record is newer: it arrived in the meantime.
  return { kind: 'stored', item: openItem(networkId, item, stored.error.kept) ?? opened };
}

/** The machine's `proofOf` with the platform's hash: one millisecond per mebibyte, not ten. */
export const nativeProofOf = (
  challenge: Uint8Array,
  kind: Item['kind'],
  bytes: Uint8Array,
): Uint8Array =>
  new Uint8Array(createHash('sha256').update(challenge).update(provenBytes(kind, bytes)).digest());

const isFull = (error: unknown): boolean =>
  error === 'full' ||
  error === 'broken' ||
  (typeof error === 'object' && error !== null && 'kind' in error && error.kind === 'full');
