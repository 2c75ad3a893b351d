/** Goal: a relocated node takes the name its section meant, and the check finds a run that does not. */
import { expect, test } from 'vitest';
import { wiringCheck } from '../../../support/wiring-check.ts';

const wiring = wiringCheck('tests/unit/node/wiring/run-wiring.ts');

test('AGE-A3: a run takes the relocated name, and its section gets the certificate', async () => {
  expect(await wiring.faults()).toEqual([]);
});

wiring.testPlanted('src/node/programs/node-runs.ts', [
  [
    'another destination',
    'the new name is near the destination',
    'certificate, age, destination, prefix, onError }',
    'certificate, age, destination: identity.name, prefix, onError }',
  ],
  [
    'no certificate',
    'the section gets the certificate of the old name',
    'certificate: relocation === null ? null : certificateOf(anchor.networkId, relocation)',
    'certificate: null',
  ],
  [
    'the new name is never activated',
    'the admitted name is saved',
    'activateNextIdentity(identity.folder)',
    'void 0',
  ],
]);
