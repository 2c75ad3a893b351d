/**
 * The adversary as a program: attacks a local network of this machine for a while and prints the
 * outcome of each attempt. The same seed makes the same attempts.
 *
 *     node tests/adversary/main.ts --url http://localhost:4100 --data .data --who stranger,client \
 *       --per-second 50 --seconds 20 --seed 1
 */
import { parseArgs } from 'node:util';
import { createPrng } from '../sim/prng.ts';
import { attack, type Attacker } from './attempt.ts';
import { openAttackers, who } from './attackers.ts';
import { openTarget } from './target.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://localhost:4100' },
    data: { type: 'string', default: '.data' },
    who: { type: 'string', default: who.join(',') },
    'per-second': { type: 'string', default: '50' },
    seconds: { type: 'string', default: '20' },
    'at-once': { type: 'string', default: '32' },
    seed: { type: 'string', default: '1' },
  },
});
if (!['localhost', '127.0.0.1', '[::1]'].includes(new URL(values.url).hostname)) {
  throw new Error('only a network of this machine is attacked');
}
const prng = createPrng(Number(values.seed));
const target = await openTarget(values.url, values.data);
const attackers: readonly Attacker[] = await openAttackers(target, values.who.split(','), prng);
const harmless = attackers.flatMap(({ attempts }) =>
  attempts.flatMap(({ name, harmless: is }) => (is === true ? name : [])),
);
process.stdout.write(`${JSON.stringify({ harmless })}\n`);
const tally = await attack(attackers, {
  perSecond: Number(values['per-second']),
  seconds: Number(values.seconds),
  atOnce: Number(values['at-once']),
  prng,
});
process.stdout.write(`${JSON.stringify(tally)}\n`);
// A host that was disconnected may not stop on its own.
await Promise.race([
  Promise.allSettled(attackers.map((each) => each.stop())),
  new Promise((go) => setTimeout(go, 3_000)),
]);
process.exit(0);
