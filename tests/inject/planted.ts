/** Mistakes planted in the product, each with the story whose loop must find it. */
import type { Mutant } from './load.ts';

export interface Planted {
  readonly story: string;
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
];
