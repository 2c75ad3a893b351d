/** Attackers by the names that the program's arguments and the tests use. */
import { freePort } from '../e2e/support/network.ts';
import type { Prng } from '../sim/prng.ts';
import type { Attacker } from './attempt.ts';
import { openLyingClient } from './lying-client.ts';
import { openLyingAdult, openLyingElder } from './lying-nodes.ts';
import { openStranger } from './stranger.ts';
import type { Target } from './target.ts';

export const who = ['stranger', 'client', 'adult', 'elders'] as const;

/** The largest tolerated number of lying elders (docs/threats.md). */
const lyingElders = ['elder-6', 'elder-7'];
const lyingAdult = 'adult-6';

/** Errors: throws for a name that is not in {@link who}. */
export async function openAttackers(
  target: Target,
  names: readonly string[],
  prng: Prng,
): Promise<readonly Attacker[]> {
  const open: Attacker[] = [];
  for (const name of names) {
    switch (name) {
      case 'stranger':
        open.push(openStranger(target, prng));
        break;
      case 'client':
        open.push(await openLyingClient(target));
        break;
      case 'adult':
        open.push(await openLyingAdult(target, lyingAdult));
        break;
      case 'elders':
        for (const label of lyingElders) {
          open.push(await openLyingElder(target, label, await freePort(), prng));
        }
        break;
      default:
        throw new Error(`unknown attacker ${name}: use ${who.join(', ')}`);
    }
  }
  return open;
}
