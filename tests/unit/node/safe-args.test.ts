/** Goal: `safe` parses its arguments, and reports a mistake in one line. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { showPrefix } from '#address/prefix.ts';
import { parseCommand } from '#node/programs/safe-args.ts';

const parse = (text: string) => parseCommand(text.split(' ').filter(Boolean), '/here');

test('a node with all options', async () => {
  const parsed = await parse(
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
    },
  });
  expect(parsed.ok && parsed.value.kind === 'node' && showPrefix(parsed.value.joinPrefix)).toBe(
    '01',
  );
});

test('missing options have plain defaults', async () => {
  expect(await parse('node --data=d')).toMatchObject({
    value: { join: null, listen: '127.0.0.1', port: null, dataLimitBytes: 1024 ** 3 },
  });
  expect(await parse('network create --data d')).toMatchObject({
    value: { kind: 'create', elders: 7, adults: 0, port: 4100, listen: '127.0.0.1', name: null },
  });
  expect(await parse('network status --data d')).toMatchObject({
    value: { kind: 'status', json: false, join: null, data: '/here/d' },
  });
});

test.each([
  ['nodes', 'safe --help'],
  ['network', 'safe --help'],
  ['node extra --data d', 'Unknown argument: extra'],
  ['node', '--data DIR'],
  ['node --data', 'Not enough arguments following: data'],
  ['node --data d --data e', 'Give --data once'],
  ['node --data d --test-controls', 'Unknown argument: test-controls'],
  ['node --data d --fresh', 'Unknown argument: fresh'],
  ['node --data d --adults 3', 'Unknown argument: adults'],
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
])('“safe %s” is answered with “%s”', async (text, sentence) => {
  const parsed = await parse(text);
  expect(parsed.ok).toBe(false);
  expect(!parsed.ok && parsed.error).toContain(sentence);
  expect(!parsed.ok && parsed.error).not.toContain('\n');
});

test.each([
  ['', /safe node .*safe network .*safe completion/s],
  ['--help', /a node of a network that governs itself/],
  ['help', /safe network/],
  ['node --help', /--join-prefix .*safe node --data/s],
  ['network --help', /create .*status/s],
  ['network create --help', /--adults .*safe network create --data/s],
  ['network status --help', /--json .*safe network status --data/s],
])('“safe %s” prints help with examples', async (text, shown) => {
  const parsed = await parse(text);
  expect(parsed.ok && parsed.value.kind === 'print' && parsed.value.text).toMatch(shown);
});

test.each([
  ['/bin/bash', /complete .*_safe_yargs_completions safe/],
  ['/bin/zsh', /compdef _safe_yargs_completions safe/],
])('“safe completion” prints a script for %s', async (shell, shown) => {
  vi.stubEnv('SHELL', shell);
  const parsed = await parse('completion');
  vi.unstubAllEnvs();
  expect(parsed.ok && parsed.value.kind === 'print' && parsed.value.text).toMatch(shown);
});

test.each([
  ['network ', ['create', 'status']],
  ['node --d', ['--data', '--data-limit']],
])(
  '“safe %s” is completed',
  async (text, offered) => {
    const program = join(import.meta.dirname, '../../../src/node/programs/safe.ts');
    const args = [program, '--get-yargs-completions', 'safe', ...text.split(' ')];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    expect(stdout.split('\n')).toEqual(expect.arrayContaining(offered));
  },
  30_000,
);
