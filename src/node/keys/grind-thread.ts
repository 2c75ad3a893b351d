/** The worker thread that grinds one name (native-ed25519.ts). */
import { parentPort, workerData } from 'node:worker_threads';
import { tryIdentities } from './native-ed25519.ts';

const { age, bitCount, bits } = workerData as { age: number; bitCount: number; bits: Uint8Array };
for (;;) {
  const seed = tryIdentities(age, { bitCount, bits }, 1024);
  if (seed === null) continue;
  parentPort?.postMessage(seed);
  break;
}
