/** Goal: wrong arguments are refused with a line. */
import { expect, test } from 'vitest';
import { parseLocalArguments } from '#node/programs/npm-start-args.ts';

test('without arguments: port 4100, .data and six adults', async () => {
  expect(await parseLocalArguments([], '/home/ada')).toEqual({
    ok: true,
    value: {
      kind: 'start',
      port: 4100,
      data: '/home/ada/.data',
      adults: 6,
      adultsGiven: false,
      fresh: false,
      hostNames: [],
    },
  });
});

test('values follow a space or an equals sign', async () => {
  expect(
    await parseLocalArguments(
      [
        '--port=4200',
        '--data',
        'x/',
        '--adults',
        '8',
        '--fresh',
        '--host-names',
        'Safe.example,b.example:8443',
      ],
      '/a',
    ),
  ).toEqual({
    ok: true,
    value: {
      kind: 'start',
      port: 4200,
      data: '/a/x',
      adults: 8,
      adultsGiven: true,
      fresh: true,
      hostNames: ['safe.example', 'b.example:8443'],
    },
  });
});

test.each([
  [['--port', 'high']],
  [['--port', '70000']],
  [['--port']],
  [['--adults', '3']],
  [['--adults', '65']],
  [['--data']],
  [['--host-names', 'http://safe.example']],
  [['--host-names']],
  [['--wrong']],
])('%j is refused in one line', async (args) => {
  const parsed = await parseLocalArguments(args, '/');
  expect(!parsed.ok && parsed.error).toMatch(/^[^\n]+$/);
});

test('--help prints the options and an example', async () => {
  const parsed = await parseLocalArguments(['--help'], '/');
  expect(parsed.ok && parsed.value.kind === 'print' && parsed.value.text).toMatch(
    /--adults .*npm start -- --port 4200/s,
  );
});

test.each([
  [['--data='], '--data needs a value'],
  [['--data', ''], '--data needs a value'],
  [['--data.x', 'y'], 'Unknown argument'],
  [['--', '--port', '1'], '-- is not used'],
])('%j is refused', async (args, line) => {
  const parsed = await parseLocalArguments(args, '/a');
  expect(parsed.ok ? 'accepted' : parsed.error).toContain(line);
});
