/** Goal: running the tests installs software on a person's computer only on request. */
import { expect, test } from 'vitest';
import { planChromium } from '../../../bin/lib/chromium.js';

const debian = (path: string): boolean => path === '/usr/bin/apt-get';
const root = { exists: debian, isRoot: true, isTerminal: true };

test('a person at a terminal is shown how to get a Chromium, and nothing is installed unasked', () => {
  for (const env of [{}, { CI: '' }, { CI: 'false' }, { SAFE_INSTALL_CHROMIUM: '0' }]) {
    const plan = planChromium({ ...root, env });
    expect(plan).toMatchObject({ kind: 'stop' });
    expect(plan.kind === 'stop' && plan.sentence).toMatch(/CHROME_PATH.*SAFE_INSTALL_CHROMIUM=1/);
  }
  expect(planChromium({ ...root, env: { SAFE_INSTALL_CHROMIUM: '1' } }).kind).toBe('install');
});

test('a build machine and a fresh container install it unless that is forbidden', () => {
  expect(planChromium({ ...root, env: { CI: 'true' } }).kind).toBe('install');
  expect(planChromium({ ...root, env: {}, isTerminal: false }).kind).toBe('install');
  const env = { CI: 'true', SAFE_INSTALL_CHROMIUM: '0' };
  expect(planChromium({ ...root, env, isTerminal: false }).kind).toBe('stop');
  expect(planChromium({ ...root, env: { CI: 'true' }, isRoot: false }).kind).toBe('stop');
  expect(planChromium({ ...root, env: { CI: 'true' }, exists: () => false }).kind).toBe('stop');
});

test('the named or installed Chromium is used unchanged', () => {
  const exists = (path: string): boolean => path === '/opt/chrome' || path === '/usr/bin/chromium';
  const named = planChromium({ ...root, exists, env: { CHROME_PATH: '/opt/chrome' } });
  expect(named).toEqual({ kind: 'use', path: '/opt/chrome' });
  expect(planChromium({ ...root, exists, env: {} })).toEqual({
    kind: 'use',
    path: '/usr/bin/chromium',
  });
  expect(planChromium({ ...root, exists, env: { CHROME_PATH: '/nowhere' } }).kind).toBe('stop');
});
