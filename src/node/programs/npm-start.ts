/** `npm start` after its set-up: the local network as a program. */
import { networkParts } from './node-parts.ts';
import { runLocalNetwork } from './run-local-network.ts';

await runLocalNetwork(process.argv.slice(2), networkParts);
