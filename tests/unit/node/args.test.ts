/** Goal: wrong arguments are refused with a line, not run with. */
import { expect, test } from 'vitest';
import { parseArguments } from '#node/args.ts';

test('nothing given means port 4100, .data and six adults', () => {
  expect(parseArguments([], '/home/ada')).toEqual({
    ok: true,
    value: {
      port: 4100,
      data: '/home/ada/.data',
      adults: 6,
      fresh: false,
      testControls: false,
      hostNames: [],
    },
  });
});

test('values come after a space or an equals sign', () => {
  expect(
    parseArguments(
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
      port: 4200,
      data: '/a/x',
      adults: 8,
      fresh: true,
      testControls: false,
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
])('%j is refused', (args) => {
  expect(parseArguments(args, '/').ok).toBe(false);
});
