/** The local network of `npm start` as a program with switches for tests. */
import { runLocalNetwork } from '#node/programs/run-local-network.ts';
import { controlledParts } from './controlled-parts.ts';

await runLocalNetwork(process.argv.slice(2), controlledParts());
