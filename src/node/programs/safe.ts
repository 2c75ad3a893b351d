/** `safe` as a program. */
import { networkParts } from './node-parts.ts';
import { runSafe } from './run-safe.ts';

await runSafe(process.argv.slice(2), networkParts);
