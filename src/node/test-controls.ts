/** Switches for end-to-end tests; offered only when started with `--test-controls` (README). */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { NodeHost } from '#network/node-host.ts';
import { maxPlaces } from '#protocol/membership/index.ts';
import type { JsonHandler } from './http-front.ts';
import type { RunningNode } from './node.ts';

/** `POST /test/adult {"index": 0, "mode": "off" | "lie" | "ok"}`. */
export const adultSwitch =
  (adults: readonly Pick<RunningNode, 'setAdultMode'>[]): JsonHandler =>
  async (body) => {
    const { index, mode } = (body ?? {}) as { index?: unknown; mode?: unknown };
    const adult = typeof index === 'number' ? adults[index] : undefined;
    if (adult === undefined || (mode !== 'ok' && mode !== 'off' && mode !== 'lie')) {
      return { status: 400, body: { error: 'malformed', adults: adults.length } };
    }
    adult.setAdultMode(mode);
    return { status: 200, body: { index, mode } };
  };

/** `POST /test/elders {"registering": false}`: all elders answer REGISTER with "busy". */
export const elderSwitch =
  (elders: readonly Pick<RunningNode, 'setRegistering'>[]): JsonHandler =>
  async (body) => {
    const { registering } = (body ?? {}) as { registering?: unknown };
    if (typeof registering !== 'boolean') return { status: 400, body: { error: 'malformed' } };
    for (const elder of elders) elder.setRegistering(registering);
    return { status: 200, body: { registering } };
  };

/** `POST /test/cut {"names": ["5b…"]}`: no traffic with these nodes, in either direction. */
export const cutSwitch =
  (host: NodeHost): JsonHandler =>
  async (body) => {
    const { names } = (body ?? {}) as { names?: unknown };
    const fits = (each: unknown): each is string =>
      typeof each === 'string' && /^[0-9a-f]{64}$/.test(each);
    if (!Array.isArray(names) || !names.every(fits)) {
      return { status: 400, body: { error: 'malformed' } };
    }
    await host.cut(new Set(names));
    return { status: 200, body: { cut: names.length } };
  };

/** `POST /test/adult {"mode": "off" | "lie" | "ok"}` of a node in a process of its own. */
export const nodeSwitch =
  (node: Pick<RunningNode, 'setAdultMode'>): JsonHandler =>
  async (body) => {
    const { mode } = (body ?? {}) as { mode?: unknown };
    if (mode !== 'ok' && mode !== 'off' && mode !== 'lie') {
      return { status: 400, body: { error: 'malformed' } };
    }
    node.setAdultMode(mode);
    return { status: 200, body: { mode } };
  };

/** `POST /test/storage {"places": 4}`: this elder sees a need of so many nodes (N39); null: of none. */
export const storageSwitch =
  (node: Pick<RunningNode, 'storage'>): JsonHandler =>
  async (body) => {
    const { places } = (body ?? {}) as { places?: unknown };
    const isCount = typeof places === 'number' && places >= 0 && places <= maxPlaces;
    if (places !== null && !isCount) return { status: 400, body: { error: 'malformed' } };
    node.storage(places);
    return { status: 200, body: { places } };
  };

/** `POST /test/memory {}`: bytes in use after a collection, so that a leak shows and noise does not. */
export const memoryAfterCollection = (): JsonHandler => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  return async () => {
    for (let round = 0; round < 3; round++) {
      collect();
      await new Promise((turn) => setTimeout(turn, 100)); // Finalizers run between turns.
    }
    const { heapUsed, external } = process.memoryUsage();
    return { status: 200, body: { bytes: heapUsed + external, pid: process.pid } };
  };
};
