/** Bugs planted in the product, each with the story whose loop must find it. */
import type { Mutant } from './load.ts';

export interface Planted {
  readonly story: string;
  /** Only cases that show the bug: npm test does not search for a rare one. */
  readonly where?: RegExp;
  /** Maximum number of cases played. */
  readonly within: number;
  readonly mutants: readonly Mutant[];
  /** The violation that it must cause. */
  readonly found: RegExp;
  /** The story's own restarts show it without a fault; otherwise its recording must be clean. */
  readonly isUndisturbed?: boolean;
}

const chunkFiles = 'src/storage/node/chunk-files.ts';
const fileStream = 'src/service-worker/http/file-downloads.ts';
const openSafe = 'src/vault/session/open-safe.ts';

/** A list small enough to fill in a test; planted alone it must lose nothing. */
export const smallList: Mutant = {
  name: 'a list takes one file',
  file: 'src/safe/index/index-set.ts',
  find: 'export const MAX_FILES = 100_000;',
  replace: 'export const MAX_FILES = 1;',
};

export const planted: readonly Planted[] = [
  {
    story: 'disk',
    within: 0,
    found: /an acknowledged chunk is gone/,
    isUndisturbed: true,
    mutants: [
      {
        name: 'a chunk counts as stored before its bytes are synced',
        file: chunkFiles,
        find: '    await file.sync();',
        replace: '',
      },
    ],
  },
  {
    story: 'disk',
    within: 0,
    found: /an acknowledged chunk is gone/,
    isUndisturbed: true,
    mutants: [
      {
        name: 'a chunk counts as stored before its name is synced',
        file: chunkFiles,
        find: '        await subfolders.sync(subfolder);',
        replace: '',
      },
    ],
  },
  {
    story: 'holders',
    where: /node disk\.(open|writeFile|sync|rename) .*restarts before/,
    within: 12,
    found: /a receipt was signed for .*, and a restart took it away/,
    mutants: [
      {
        name: 'a receipt is signed before the chunk is on the disk',
        file: 'src/node/chunk-storage/holdings.ts',
        find: '      const stored = await chunks.put(name, bytes);',
        replace: "      void chunks.put(name, bytes);\n      const stored = ok('stored' as const);",
      },
    ],
  },
  {
    story: 'holders',
    where: /node disk\.statfs #1\d: fails once/,
    within: 10,
    found: /is not with its holder \d+ after the faults/,
    mutants: [
      {
        name: 'a fetched copy that the disk refused is never requested again',
        file: 'src/node/chunk-storage/copies.ts',
        find: "        input({ kind: 'fetched', id: output.id, outcome: { kind: 'unresponsive' } });\n",
        replace: '',
      },
    ],
  },
  {
    story: 'holders',
    within: 0,
    found: /is still with \d+, which is no holder of it/,
    isUndisturbed: true,
    mutants: [
      {
        name: 'a copy that four holders have is never deleted',
        file: 'src/node/chunk-storage/copies.ts',
        find: '        await holdings.remove(item).catch(',
        replace: '        await Promise.resolve().catch(',
      },
    ],
  },
  {
    story: 'elders',
    within: 0,
    found: /voted for two transactions of a coin/,
    isUndisturbed: true,
    mutants: [
      {
        name: 'an elder votes without writing its vote down',
        file: 'src/node/money/elder-money.ts',
        find: 'append: (key, fact) => replaceFact(facts, machine, key, encodeSpentbookFact(fact)),',
        replace: 'append: async () => undefined,',
      },
    ],
  },
  {
    story: 'files',
    within: 0,
    found: /a wiped key was used/,
    isUndisturbed: true,
    mutants: [
      {
        name: 'a locked Safe continues, and a wiped key is sent',
        file: 'src/vault/session/session.ts',
        find: '  const refuse = (): void => {\n    if (closed.aborted) throw safeIsLocked();',
        replace: '  const refuse = (): void => {',
      },
      {
        name: 'a wiped key is sent',
        file: 'src/core/secret.ts',
        find: '    if (this.#wiped) throw new WipedSecretError();\n',
        replace: '',
      },
    ],
  },
  {
    story: 'tabs',
    within: 60,
    found:
      /\.txt was shown as here and is not|the payment “tea” is gone|a payment was sent that was stored nowhere/,
    mutants: [
      {
        name: 'a change is based on the copy in this tab instead of the stored record',
        file: 'src/vault/session/open-safe.ts',
        find: 'const stored = record === null ? safe.known : await readRecord(safe, record);',
        replace: 'const stored = safe.known;',
      },
    ],
  },
  {
    story: 'relay',
    where: /tab store\.getSafe .*damaged from here on/,
    within: 20,
    found: /\.txt was shown as here and is not/,
    mutants: [
      {
        name: 'an unreadable record counts as missing',
        file: openSafe,
        find: '  throw unreadableOnDevice();',
        replace: '  return safe.known;',
      },
    ],
  },
  {
    story: 'relay',
    where: /tab stretch .*another tab adds/,
    within: 20,
    found: /meanwhile\.txt was shown as here and is not/,
    mutants: [
      {
        name: 'a tab opens with the record read before it waited, and writes it back',
        file: 'src/vault/session/unlock.ts',
        find: '    const latest = await ports.store.getSafe(record.id);',
        replace: '    const latest: SafeRecord | undefined = record;',
      },
    ],
  },
  {
    story: 'unpublished',
    where: /tab store\.putSafe .*(tab closed|full)/,
    within: 20,
    found: /\.txt was shown as here and is not/,
    mutants: [
      {
        name: 'a change is shown before it is stored',
        file: openSafe,
        find: '      await ports.store.putSafe({ ...record, ...(await sealKnownSafe(ports, safe, known)) });',
        replace:
          '      safe.known = known;\n      changed();\n      await ports.store.putSafe({ ...record, ...(await sealKnownSafe(ports, safe, known)) });',
      },
    ],
  },
  {
    story: 'crowded',
    within: 0,
    found: /the run broke: What this device keeps of your Safe is damaged/,
    isUndisturbed: true,
    mutants: [
      {
        name: 'the size of a growing list is not checked',
        file: 'src/vault/session/index-sync.ts',
        find: '    if (storable?.ok === false) throw tooLarge(storable.error);',
        replace: '',
      },
      {
        name: 'nor before it is published',
        file: 'src/vault/session/index-sync.ts',
        find: '      if (!storable.ok) throw tooLarge(storable.error);\n      const body = await sealIndexLocation(\n        ports,\n        safe,\n        await storeIndex(ports, rpc, storable.value),\n      );',
        replace:
          '      const body = await sealIndexLocation(\n        ports,\n        safe,\n        await storeIndex(ports, rpc, encodeIndex(index)),\n      );',
      },
      {
        name: 'sync knows how a list is written',
        file: 'src/vault/session/index-sync.ts',
        find: "import { checkIndexSize, type SafeIndex } from '#safe/index/index-set.ts';",
        replace:
          "import { checkIndexSize, encodeIndex, type SafeIndex } from '#safe/index/index-set.ts';",
      },
      {
        name: 'nor before it is stored',
        file: openSafe,
        find: '      if (!storable.ok) throw tooLarge(storable.error);',
        replace: '',
      },
      {
        name: 'nor before an upload begins',
        file: 'src/vault/files/uploads.ts',
        find: "  if (index.files.size + transfers.size >= MAX_FILES) throw tooLarge('tooManyFiles');",
        replace: '',
      },
      smallList,
    ],
  },
  {
    story: 'pays',
    where: /tab store\.putSafe .*(fails once|full)/,
    within: 20,
    found: /a payment was sent that was stored nowhere/,
    mutants: [
      {
        name: 'a payment is sent before it is stored',
        file: 'src/vault/wallet/stored-wallet.ts',
        find: '      next = apply(before);\n',
        replace: '      next = apply(before);\n      state = next;\n',
      },
    ],
  },
  {
    story: 'opens',
    within: 0,
    found: /bytes of a\.bin were read after Lock/,
    isUndisturbed: true,
    mutants: [
      {
        name: 'Lock does not end reads in progress',
        file: fileStream,
        find: '    for (const read of [...(reads.get(token) ?? [])]) read.abort(locked());\n',
        replace: '',
      },
    ],
  },
  {
    story: 'opens',
    within: 0,
    found: /bytes of a\.bin were read after Lock/,
    isUndisturbed: true,
    mutants: [
      {
        name: 'Lock is confirmed before the worker has dropped the read keys',
        file: 'src/vault/vault.ts',
        find: 'await Promise.all([chooseRecord(vault).finally(vault.show), keyCallsSettled(vault.context)]);',
        replace: 'await chooseRecord(vault).finally(vault.show);',
      },
    ],
  },
  {
    story: 'opens',
    within: 0,
    found: /the key is asked for again” cannot be done any more/,
    isUndisturbed: true,
    mutants: [
      {
        name: 'a worker that lost a key does not get it again',
        file: 'src/vault/files/downloads.ts',
        find: '      if (key !== undefined) await sendKey(key);',
        replace: '',
      },
    ],
  },
  {
    story: 'opens',
    where: /worker elder\.getChunk .*(fails|damaged) from here on$/,
    within: 20,
    found: /\.bin was read to an end \d+ short/,
    mutants: [
      {
        name: 'a read with a missing piece ends as if it were complete',
        file: fileStream,
        find: '          controller.error(error);\n        }\n        close();',
        replace: '          controller.close();\n        }\n        close();',
      },
    ],
  },
];
