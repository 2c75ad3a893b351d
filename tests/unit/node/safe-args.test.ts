/** Goal: `safe` understands its arguments, and says in one line what is wrong with others. */
import { expect, test } from 'vitest';
import { showPrefix } from '#address/prefix.ts';
import { parseCommand } from '#node/safe-args.ts';

const parse = (text: string) => parseCommand(text.split(' ').filter(Boolean), '/here');

test('a node with everything said', () => {
  const parsed = parse(
    'node --data d --join /ip4/1.2.3.4/tcp/5/p2p/x --listen 0.0.0.0 --port 4001 --data-limit 64MiB --join-prefix 01 --metrics-port 9000 --host-names a.example,b.example:8443',
  );
  expect(parsed).toMatchObject({
    ok: true,
    value: {
      kind: 'node',
      data: '/here/d',
      listen: '0.0.0.0',
      port: 4001,
      dataLimitBytes: 64 * 1024 * 1024,
      metricsPort: 9000,
      hostNames: ['a.example', 'b.example:8443'],
      testControls: false,
    },
  });
  expect(parsed.ok && parsed.value.kind === 'node' && showPrefix(parsed.value.joinPrefix)).toBe(
    '01',
  );
});

test('what is not said has a plain meaning', () => {
  expect(parse('node --data=d')).toMatchObject({
    value: { join: null, listen: '127.0.0.1', port: null, dataLimitBytes: 1024 ** 3 },
  });
  expect(parse('network create --data d')).toMatchObject({
    value: { kind: 'create', elders: 7, adults: 0, port: 4100, listen: '127.0.0.1', name: null },
  });
  expect(parse('network status --data d')).toMatchObject({
    value: { kind: 'status', json: false, join: null, data: '/here/d' },
  });
  for (const text of ['', '--help', 'help', 'node --help']) {
    expect(parse(text)).toEqual({ ok: true, value: { kind: 'help' } });
  }
});

test.each([
  ['nodes', 'safe --help'],
  ['network', 'safe --help'],
  ['node extra --data d', 'one word too many'],
  ['node', '--data DIR'],
  ['node --data', 'needs a value'],
  ['node --data d --fresh', '"--fresh" is not an option'],
  ['node --data d --adults 3', 'not an option of this command'],
  ['node --data d --port 70000', '1 to 65535'],
  ['node --data d --listen here', '0.0.0.0'],
  ['node --data d --data-limit 0', '64MiB'],
  ['node --data d --data-limit 5Mb', '64MiB'],
  ['node --data d --join-prefix 02', 'first bits'],
  ['network create --data d --elders 6', 'only 7'],
  ['network create --data d --listen all', '0.0.0.0'],
  ['network create --data d --host-names a.example,*', 'separated by commas'],
  ['network create --data d --name Über', 'small letters'],
  ['network status --json', '--join MULTIADDR'],
])('“safe %s” is answered with “%s”', (text, sentence) => {
  const parsed = parse(text);
  expect(parsed.ok).toBe(false);
  expect(!parsed.ok && parsed.error).toContain(sentence);
  expect(!parsed.ok && parsed.error).not.toContain('\n');
});
