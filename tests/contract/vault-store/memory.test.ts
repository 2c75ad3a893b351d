/** Goal: the store that vault tests use keeps the promises of the real one. */
import { test } from 'vitest';
import { createMemoryStore } from '../../unit/vault/world.ts';
import { steps } from './steps.ts';

test.each(Object.entries(steps))('in memory: %s', async (_sentence, step) => {
  await step(createMemoryStore());
});
