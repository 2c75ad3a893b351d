/**
 * A node's store of superseded keys (N34): every verified successor record of its own section's chain
 * and of other sections.
 */
import { isWithin } from '#address/prefix.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { SectionKey, SectionKeys } from '#money/spend-certificate.ts';
import {
  decodeSuccessor,
  encodeSuccessor,
  type SectionAuthority,
  type SignedSuccessor,
  supersededKeyOf,
} from '#protocol/section/index.ts';
import type { FactStore } from '#storage/node/facts.ts';

export interface MoneyKeyChain {
  /** Stores the new ones of these verified records. Rejects on a disk error: the rest stay unknown. */
  readonly add: (links: readonly SignedSuccessor[]) => Promise<void>;
  readonly all: () => readonly SignedSuccessor[];
  /** The records that lead to this key, oldest first; null while one of them is missing. */
  readonly chainTo: (key: Uint8Array, epoch: bigint) => readonly SignedSuccessor[] | null;
  /** This key's successor record; undefined while the key is current. */
  readonly successorOf: (key: Uint8Array) => SignedSuccessor | undefined;
  /** The keys as an elder of `own` knows them, with these other sections. */
  readonly sectionKeys: (own: SectionAuthority, others: readonly SectionKey[]) => SectionKeys;
}

const linkMachine = 'links';

/** @param onDamaged called for a stored record that cannot be read. */
export async function openMoneyKeyChain(
  facts: FactStore,
  onDamaged: (key: string) => void,
): Promise<MoneyKeyChain> {
  const byParent = new Map<string, SignedSuccessor>();
  /** Superseded keys whose record is unreadable: it is received again like an unknown one. */
  const unreadable = new Set<string>();
  for (const key of await facts.keys(linkMachine)) {
    for (const bytes of await facts.load(linkMachine, key)) {
      const link = decodeSuccessor(bytes);
      if (link.ok && !byParent.has(key)) byParent.set(key, link.value);
    }
    if (byParent.has(key)) continue;
    unreadable.add(key);
    onDamaged(key);
  }
  const isSuperseded = (key: Uint8Array): boolean =>
    byParent.has(toHex(key)) || unreadable.has(toHex(key));
  const parentOf = (key: Uint8Array): SignedSuccessor | undefined =>
    [...byParent.values()].find(({ record }) =>
      record.children.some((child) => equalBytes(child.key, key)),
    );

  let writing: Promise<void> = Promise.resolve();
  const write = async (links: readonly SignedSuccessor[]): Promise<void> => {
    for (const link of links) {
      const key = toHex(link.record.parentKey);
      if (byParent.has(key)) continue; // SECTION-T4: the first record stays.
      // Disk first: a record in memory is not written again.
      await facts.append(linkMachine, key, encodeSuccessor(link));
      byParent.set(key, link);
      unreadable.delete(key);
    }
  };

  return {
    add: (links) => {
      // One after the other: the first record written for a key must be the one that is read.
      const written = writing.then(() => write(links));
      writing = written.catch(() => undefined);
      return written;
    },
    all: () => [...byParent.values()],
    chainTo: (key, epoch) => {
      const chain: SignedSuccessor[] = [];
      let at = key;
      while (BigInt(chain.length) < epoch) {
        const parent = parentOf(at);
        if (parent === undefined) return null;
        chain.unshift(parent);
        at = parent.record.parentKey;
      }
      return chain;
    },
    successorOf: (key) => byParent.get(toHex(key)),
    sectionKeys: (own, others) => ({
      networkId: own.networkId,
      genesisOutput: own.genesisOutput,
      current: [own, ...others]
        .filter(
          ({ key, prefix, epoch }) =>
            equalBytes(key, own.key) ||
            // An older section around our prefix was our own ancestor.
            (!isSuperseded(key) && !(isWithin(own.prefix, prefix) && epoch < own.epoch)),
        )
        .map(({ prefix, key, epoch }) => ({ prefix, key, epoch })),
      superseded: [...byParent.values()].flatMap(({ record }) => supersededKeyOf(record) ?? []),
    }),
  };
}
