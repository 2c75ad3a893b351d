/** The fact store in memory: a reference implementation of the port. */
import { equalBytes } from '#core/codec/bytes.ts';
import { err, ok } from '#core/result.ts';
import {
  comparePointerRanks,
  pointerRecordDigest,
  type PointerRank,
} from '#data/pointer-record.ts';
import { pointerConflict, conflictingValue, type FactStore } from '#storage/node/facts.ts';

export function createMemoryFacts(): FactStore {
  const factsByInstance = new Map<string, Uint8Array[]>();
  const outputs: { readonly key: string; readonly entry: Uint8Array }[] = [];
  const filled = new Map<string, Uint8Array>();
  const pointers = new Map<string, PointerRank & { readonly record: Uint8Array }>();
  const instance = (machine: string, key: string): string => `${machine}|${key}`;

  const append = async (machine: string, key: string, fact: Uint8Array): Promise<void> => {
    const id = instance(machine, key);
    factsByInstance.set(id, [...(factsByInstance.get(id) ?? []), fact.slice()]);
  };

  return {
    load: async (machine, key) => factsByInstance.get(instance(machine, key)) ?? [],
    append,
    appendAndForget: async (machine, key, fact, obsolete) => {
      await append(machine, key, fact);
      const id = instance(machine, key);
      const all = factsByInstance.get(id) ?? [];
      const gone = new Set(obsolete(all).filter((at) => at < all.length - 1));
      factsByInstance.set(
        id,
        all.filter((_, at) => !gone.has(at)),
      );
    },
    appendOnce: async (machine, key, fact, { slot, value }) => {
      if (!equalBytes(filled.get(slot) ?? value, value)) throw conflictingValue(slot);
      filled.set(slot, value.slice());
      await append(machine, key, fact);
    },
    keys: async (machine) =>
      [...factsByInstance.keys()]
        .filter((id) => id.startsWith(`${machine}|`))
        .map((id) => id.slice(machine.length + 1)),
    addOutputs: async (entries) => {
      for (const { key, entry } of entries) {
        if (!outputs.some((output) => output.key === key)) {
          outputs.push({ key, entry: entry.slice() });
        }
      }
    },
    erase: async (machine, key) => void factsByInstance.delete(instance(machine, key)),
    eraseAll: async (machine) => {
      for (const id of [...factsByInstance.keys()]) {
        if (id.startsWith(`${machine}|`)) factsByInstance.delete(id);
      }
    },
    appendWithOutput: async (machine, key, fact, entry) => {
      await append(machine, key, fact);
      if (!outputs.some((output) => output.key === key))
        outputs.push({ key, entry: entry.slice() });
    },
    listOutputs: async (after, limit) => {
      const page = outputs.slice(after, after + limit);
      const next = after + page.length;
      return { entries: page.map((output) => output.entry), next, more: next < outputs.length };
    },
    lastOutputs: async (limit) => outputs.slice(-limit).map((output) => output.entry),
    putPointer: async (address, version, record, source = 'client') => {
      const offered = { version, digest: pointerRecordDigest(record) };
      const kept = pointers.get(address) ?? null;
      const conflict = pointerConflict(kept, offered, source);
      if (conflict !== null) return err(conflict);
      if (kept !== null && comparePointerRanks(kept, offered) === 0) return ok('stored');
      pointers.set(address, { ...offered, record: record.slice() });
      return ok('stored');
    },
    getPointer: async (address) => pointers.get(address)?.record ?? null,
    listPointers: async (after, limit) =>
      [...pointers]
        .filter(([address]) => address > after)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, limit)
        .map(([address, { record, ...rank }]) => ({ address, ...rank, size: record.length })),
    removePointer: async (address, rank) => {
      const kept = pointers.get(address);
      if (kept !== undefined && comparePointerRanks(kept, rank) <= 0) pointers.delete(address);
    },
    close: () => undefined,
  };
}
