/** Goal: the service worker connects the browser, the page and the light node; the check finds what is not. */
import { expect, test } from 'vitest';
import { wiringCheck } from '../../../support/wiring-check.ts';

const wiring = wiringCheck('tests/unit/service-worker/wiring/worker-wiring.ts', {
  'src/service-worker/light-node/light-node.ts':
    'tests/unit/service-worker/wiring/stub-light-node.ts',
  '$service-worker': 'tests/unit/service-worker/wiring/stub-build.ts',
});

test('the service worker connects events, calls, the light node and payments', async () => {
  expect(await wiring.faults()).toEqual([]);
});

wiring.testPlanted('src/service-worker/index.ts', [
  [
    'a page hosts in vain',
    'a page that hosts connections → the light node',
    'acquireRtcHost(event.ports[0], message.used)',
    'void 0',
  ],
  [
    'an update only claims',
    'an update → the new version',
    'event.waitUntil(scope.skipWaiting())',
    'event.waitUntil(scope.clients.claim())',
  ],
  [
    'the network file is an ordinary one',
    'another network served here → its light node',
    '{ canHandle: isNetworkFile, handle: answerNetworkFile },',
    '',
  ],
]);

wiring.testPlanted('src/service-worker/node-lifecycle.ts', [
  [
    'payments wait for the next vault',
    'the start → stored payments',
    'void resumePayments(node).catch(() => undefined);',
    '',
  ],
  [
    'changes end at the worker',
    'a change in the light node → the pages',
    '() => preference, scheduleBroadcast)',
    '() => preference, () => undefined)',
  ],
  [
    'the choice changes nothing',
    'the chosen transport → the light node',
    '  preference = chosen;\n',
    '',
  ],
]);

wiring.testPlanted('src/service-worker/http/rpc-calls.ts', [
  [
    'two calls are swapped',
    'chunk calls → the elders',
    'await putChunk(await lightNode(), bytes)',
    'await putPointer(await lightNode(), bytes)',
  ],
  [
    'updates are not looked for',
    'a call → the light node of the network served here',
    'if (look) await',
    'if (!look) await',
  ],
]);
