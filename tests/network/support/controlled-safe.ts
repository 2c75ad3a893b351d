/** `safe` as a program whose nodes have switches for tests. */
import { runSafe } from '#node/programs/run-safe.ts';
import { controlledParts } from '../../e2e/support/controlled-parts.ts';

await runSafe(process.argv.slice(2), controlledParts());
