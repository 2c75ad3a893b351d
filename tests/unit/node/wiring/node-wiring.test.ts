/** Goal: every part of a node is connected to the right other part, and the check finds one that is not. */
import { expect, test } from 'vitest';
import { wiringCheck } from '../../../support/wiring-check.ts';

const wiring = wiringCheck('tests/unit/node/wiring/node-wiring.ts');

test('startNode connects every handler and callback', async () => {
  expect(await wiring.faults()).toEqual([]);
});

wiring.testPlanted('src/node/node.ts', [
  [
    'a message goes by the other queue',
    'a message of the section’s machine → its peer, as a section message',
    'send: links.section.send',
    'send: links.replication.send',
  ],
  [
    'anyone may store',
    'the section’s elders → who may store',
    'isElder: (name) => sections.isElder(nameToId(name))',
    'isElder: () => true',
  ],
  [
    'replication gets no state',
    'the section’s state → the adult’s receipts',
    'updateReplication(base, parts);\n  if (isNewRole)',
    'if (isNewRole)',
  ],
  [
    'no service is opened',
    'a client’s question → the role’s service',
    '  await role.open(next);',
    '',
  ],
  ['the host knows no members', 'members → the host', 'host.setMembership(', 'void ('],
  [
    'updates end at the section',
    'a newer state of another section → the prefixes this node knows',
    'onUpdate: (update) => applyUpdate(base, parts, update),\n    onEvent',
    'onUpdate: () => undefined,\n    onEvent',
  ],
  [
    'requests of a handover end',
    'a request of a handover → the money of its key',
    'money: parts.money.perform',
    'money: () => undefined',
  ],
  [
    'a gauge stays 0',
    'requests in progress and the section → the gauges',
    'sections.members().size);',
    '0);',
  ],
  [
    'a removal is shown as a refusal',
    'a removal → the program',
    'options.onRemoved?.()',
    "options.onRefused?.('')",
  ],
  [
    'a failed machine does not end the program',
    'a failure of the section’s machine → the log and the end of the program',
    'endOnMachineFailure(log, node, error)',
    "log.write({ event: 'machineFailed', node, error: String(error) })",
  ],
  ['a relocation ends', 'a relocation → the program', 'options.onRelocate?.(move)', 'undefined'],
  [
    'section messages end',
    'a section message → the section’s machine',
    'section.handle = await options',
    'await options',
  ],
  [
    'a standing is not in force',
    'the first standing → settled',
    'onDone: settled.resolve',
    'onDone: () => undefined',
  ],
]);

wiring.testPlanted('src/node/chunk-storage/storage-role.ts', [
  [
    'a replication that failed goes on',
    'a fact of the replication that cannot be stored → the log and the end of the program',
    'failed: (error) => endOnMachineFailure(log, label, error),',
    'failed: () => undefined,',
  ],
]);
