/** Performs what `roles/elder-data.ts` decides: asks adults, waits, and asks the next in line. */
import { nameToId } from '#address/xor-name.ts';
import {
  askNext,
  isAnswered,
  withAnswer,
  type Asking,
  type HolderAnswer,
} from '#roles/elder-data.ts';

/** An adult on the same continent has answered long before; then the next one is asked as well. */
const patienceMs = 1_500;
/** A holder that failed is asked last for this long; a wrong suspicion costs nothing but order. */
const suspectForMs = 20_000;

/** Resolves when enough good answers are there or everybody answered. `ask` never rejects. */
export function askHolders(
  first: Asking,
  wanted: number,
  isGood: (answer: HolderAnswer) => boolean,
  ask: (holder: Uint8Array) => Promise<HolderAnswer>,
): Promise<Asking> {
  return new Promise((resolve) => {
    let asking = first;
    let over = false;
    const goOn = (impatient: boolean): void => {
      if (over) return;
      if (isAnswered(asking, wanted, isGood)) {
        over = true;
        clearInterval(timer);
        resolve(asking);
        return;
      }
      const [next, holders] = askNext(asking, wanted, isGood, impatient);
      asking = next;
      for (const holder of holders) {
        void ask(holder).then((answer) => {
          asking = withAnswer(asking, { holder, answer });
          goOn(false);
        });
      }
    };
    const timer = setInterval(() => goOn(true), patienceMs);
    goOn(false);
  });
}

export interface Suspects {
  readonly ids: () => ReadonlySet<string>;
  readonly add: (name: Uint8Array) => void;
  readonly clear: (name: Uint8Array) => void;
}

export function createSuspects(now: () => number = Date.now): Suspects {
  const untilById = new Map<string, number>();
  return {
    ids: () => {
      for (const [id, until] of untilById) if (until <= now()) untilById.delete(id);
      return new Set(untilById.keys());
    },
    add: (name) => void untilById.set(nameToId(name), now() + suspectForMs),
    clear: (name) => void untilById.delete(nameToId(name)),
  };
}
