/** Asks the section for more nodes while too many of its adults are full (N39). */
import type { NodeId } from '#core/machine.ts';
import { checkStorageNeed, noStorageNeed } from '#roles/storage-need.ts';

const checkEveryMs = 5_000;

/** @returns what stops the watch. */
export function watchStorageNeed(
  adults: () => readonly NodeId[],
  full: () => ReadonlySet<NodeId>,
  setVacancies: (vacancies: number) => void,
): () => void {
  let need = noStorageNeed;
  const timer = setInterval(() => {
    const [next, vacancies] = checkStorageNeed(need, adults(), full());
    need = next;
    if (vacancies !== null) setVacancies(vacancies);
  }, checkEveryMs);
  return () => clearInterval(timer);
}
