/**
 * Which keys spoke before (N34), as a node keeps them: every verified record of a successor, of its
 * own section's line and of others.
 */
import { isWithin } from '#address/prefix.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { MoneyKey, SectionKeys } from '#money/certificate.ts';
import { supersededBy } from '#protocol/handover/index.ts';
import {
  decodeSuccessor,
  encodeSuccessor,
  type SectionAuthority,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import type { FactStore } from '#storage/node/facts.ts';

export interface MoneyLinks {
  /** Keeps what is new of these verified records. Rejects when the disk failed: none of the rest is known. */
  readonly add: (links: readonly SignedSuccessor[]) => Promise<void>;
  readonly all: () => readonly SignedSuccessor[];
  /** The records that lead to this key, oldest first; null while one of them is not known. */
  readonly lineOf: (key: Uint8Array, epoch: bigint) => readonly SignedSuccessor[] | null;
  /** What this key said last; undefined while it speaks. */
  readonly successorOf: (key: Uint8Array) => SignedSuccessor | undefined;
  /** The view of an elder of `own`, who has heard of these other sections. */
  readonly view: (own: SectionAuthority, others: readonly MoneyKey[]) => SectionKeys;
}

const linkMachine = 'links';

/** @param damaged called for a record on the disk that cannot be read. */
export async function openMoneyLinks(
  facts: FactStore,
  damaged: (key: string) => void,
): Promise<MoneyLinks> {
  const byParent = new Map<string, SignedSuccessor>();
  /** Keys that have ended, by a record that cannot be read: it is learnt again as one never heard of. */
  const unread = new Set<string>();
  for (const key of await facts.keys(linkMachine)) {
    for (const bytes of await facts.load(linkMachine, key)) {
      const link = decodeSuccessor(bytes);
      if (link.ok && !byParent.has(key)) byParent.set(key, link.value);
    }
    if (byParent.has(key)) continue;
    unread.add(key);
    damaged(key);
  }
  const hasEnded = (key: Uint8Array): boolean => byParent.has(toHex(key)) || unread.has(toHex(key));
  const parentOf = (key: Uint8Array): SignedSuccessor | undefined =>
    [...byParent.values()].find(({ record }) =>
      record.children.some((child) => equalBytes(child.key, key)),
    );

  let writing: Promise<void> = Promise.resolve();
  const write = async (links: readonly SignedSuccessor[]): Promise<void> => {
    for (const link of links) {
      const key = toHex(link.record.parentKey);
      if (byParent.has(key)) continue; // T4: the first word stays.
      // Disk first: what memory holds is not written again.
      await facts.append(linkMachine, key, encodeSuccessor(link));
      byParent.set(key, link);
      unread.delete(key);
    }
  };

  return {
    add: (links) => {
      // One after the other: the first record that is written for a key is the one that is read.
      const written = writing.then(() => write(links));
      writing = written.catch(() => undefined);
      return written;
    },
    all: () => [...byParent.values()],
    lineOf: (key, epoch) => {
      const line: SignedSuccessor[] = [];
      let at = key;
      while (BigInt(line.length) < epoch) {
        const parent = parentOf(at);
        if (parent === undefined) return null;
        line.unshift(parent);
        at = parent.record.parentKey;
      }
      return line;
    },
    successorOf: (key) => byParent.get(toHex(key)),
    view: (own, others) => ({
      networkId: own.networkId,
      genesisOutput: own.genesisOutput,
      current: [own, ...others]
        .filter(
          ({ key, prefix, epoch }) =>
            equalBytes(key, own.key) ||
            // What lies around us and is older was our own ancestor.
            (!hasEnded(key) && !(isWithin(own.prefix, prefix) && epoch < own.epoch)),
        )
        .map(({ prefix, key, epoch }) => ({ prefix, key, epoch })),
      superseded: [...byParent.values()].flatMap(({ record }) => supersededBy(record) ?? []),
    }),
  };
}
