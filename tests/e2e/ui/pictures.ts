/**
 * The pictures of the documents, from a real network and a real Safe: `node tests/e2e/ui/pictures.ts`
 * writes docs/pictures/.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startNetwork } from '../support/network.ts';
import { addFile, createSafeInPage, goTo, openProfile, waitForStored } from '../support/person.ts';

const root = resolve(import.meta.dirname, '../../..');
const pictures = join(root, 'docs/pictures');
/** Next to the build that tests are using. */
process.env['SAFE_BUILD'] = 'test-results/picture-app';

const files: readonly (readonly [string, number])[] = [
  ['Rental agreement.pdf', 422_000],
  ['Grandmother’s recipes.txt', 23_600],
  ['Summer at the lake.jpg', 3_800_000],
  ['Piano recital.mp4', 18_600_000],
  ['Tax return 2025.ods', 98_300],
];

const vite = join(root, 'node_modules/vite/bin/vite.js');
const env = { ...process.env, NODE_ENV: 'production' };
execFileSync(process.execPath, [vite, 'build', '--logLevel', 'error'], { cwd: root, env });
const network = await startNetwork();
const person = await openProfile(network.url);
const folder = mkdtempSync(join(tmpdir(), 'safe-pictures-'));
try {
  const { page } = person;
  await createSafeInPage(page);
  await goTo(page, 'Files');
  for (const [name, size] of files) {
    const path = join(folder, name);
    writeFileSync(path, Buffer.alloc(size, name));
    await addFile(page, path);
    await waitForStored(page, name);
  }
  await page.getByText('Keep Safe open until').waitFor({ state: 'detached' });
  await page.setViewportSize({ width: 1280, height: 520 });
  await page.screenshot({ path: join(pictures, 'files.png') });

  await goTo(page, 'Network');
  await page.getByText('7 of 7 elders connected').waitFor({ timeout: 120_000 });
  await page.setViewportSize({ width: 1280, height: 1010 });
  await page.screenshot({ path: join(pictures, 'network.png') });
  console.log(`${pictures}; the network is ${network.data}`);
} finally {
  await person.close();
  await network.stop();
  network.remove();
  rmSync(folder, { recursive: true, force: true });
}
