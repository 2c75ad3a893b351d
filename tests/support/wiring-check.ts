/** Runs the check of a composition root, also with faults planted in it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPlantedModules, type PlantedLine, type PlantedModules } from './planted-module.ts';

/** Its name, the connection that the check must find broken, and the changed text. */
type PlantedFault = readonly [name: string, broken: string, find: string, replace: string];

interface WiringCheck {
  /** The broken connections. */
  readonly faults: (planted?: PlantedLine) => Promise<readonly string[]>;
  /** One test for each fault in this file. */
  readonly testPlanted: (file: string, faults: readonly PlantedFault[]) => void;
}

/**
 * @param path the module whose export `wiringFaults` checks every connection
 * @param stubs as in {@link openPlantedModules}
 */
export function wiringCheck(
  path: string,
  stubs: Readonly<Record<string, string>> = {},
): WiringCheck {
  let modules: PlantedModules;
  beforeAll(async () => {
    modules = await openPlantedModules(stubs);
  });
  afterAll(() => modules.close());

  const faults: WiringCheck['faults'] = async (planted) => {
    const check = await modules.load<{ wiringFaults: () => Promise<string[]> }>(
      path,
      planted ?? null,
    );
    return check.wiringFaults();
  };
  return {
    faults,
    testPlanted: (file, planted) =>
      test.each(planted)(
        'planted: %s → the check finds it',
        async (_name, broken, find, replace) => {
          expect(await faults({ file, find, replace })).toContain(broken);
        },
      ),
  };
}
