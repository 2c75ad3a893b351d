/** Goal: the store of the vault tests fulfils the contract of the real one. */
import { test } from 'vitest';
import { createMemoryStore } from '../../unit/vault/world.ts';
import { steps } from './steps.ts';

test.each(Object.entries(steps))('in memory: %s', async (_sentence, step) => {
  await step(createMemoryStore());
});
