/** Mistakes planted in the product, each with the story whose loop must find it. */
import type { Mutant } from './load.ts';

export interface Planted {
  readonly story: string;
  /** Only cases that are shown so: a rare one is not waited for in npm test. */
  readonly where?: RegExp;
  /** Cases played until one finds it. */
  readonly within: number;
  readonly mutants: readonly Mutant[];
}

const chunks = 'src/storage/node/chunks.ts';

export const planted: readonly Planted[] = [
  {
    story: 'disk',
    within: 120,
    mutants: [
      {
        name: 'a chunk counts as stored before its bytes are synced',
        file: chunks,
        find: '    await file.sync();',
        replace: '',
      },
    ],
  },
  {
    story: 'disk',
    within: 120,
    mutants: [
      {
        name: 'a chunk counts as stored before its name is synced',
        file: chunks,
        find: '      await syncFolder(shelf);',
        replace: '',
      },
    ],
  },
  {
    story: 'elders',
    within: 120,
    mutants: [
      {
        name: 'an elder votes without writing its vote down',
        file: 'src/node/elder-money.ts',
        find: "append: (key, fact) => facts.append(under('spentbook'), key, encodeSpentbookFact(fact)),",
        replace: 'append: async () => undefined,',
      },
    ],
  },
  {
    story: 'files',
    within: 150,
    mutants: [
      {
        name: 'a Safe that is locked goes on, and a wiped key is given',
        file: 'src/vault/session.ts',
        find: '  const refuse = (): void => {\n    if (closed.aborted) throw safeIsLocked();',
        replace: '  const refuse = (): void => {',
      },
      {
        name: 'a wiped key is given',
        file: 'src/core/secret.ts',
        find: '    if (this.#wiped) throw new WipedSecretError();\n',
        replace: '',
      },
    ],
  },
  {
    story: 'tabs',
    within: 60,
    mutants: [
      {
        name: 'a change is made on what this tab remembers instead of what is stored',
        file: 'src/vault/open-safe.ts',
        find: 'const stored = record === null ? safe.known : await readRecord(safe, record);',
        replace: 'const stored = safe.known;',
      },
    ],
  },
  {
    story: 'pays',
    where: /tab store\.putSafe .*(fails once|full)/,
    within: 20,
    mutants: [
      {
        name: 'a payment is handed on before it is stored',
        file: 'src/vault/wallet/wallet.ts',
        find: '      const next = apply(before);\n',
        replace: '      const next = apply(before);\n      state = next;\n',
      },
    ],
  },
];
