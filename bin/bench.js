/** `npm run bench -- NAME [--json]`: runs bench/NAME.ts; without a name, lists the benchmarks. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt } from './lib/build.js';
import { ensureChromium } from './lib/chromium.js';
import { main, root, Stop } from './lib/root.js';
import { run } from './lib/run.js';
import { setup } from './lib/setup.js';

main(async (args) => {
  const [name, ...rest] = args;
  const names = readdirSync(join(root, 'bench'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length));
  if (name === undefined || !names.includes(name)) {
    throw new Stop(
      `Which benchmark? npm run bench -- NAME [--json], NAME one of: ${names.join(', ')}.`,
    );
  }
  const node = await setup();
  if (existsSync(join(root, 'src/routes'))) await ensureBuilt();
  const env = { CHROME_PATH: await ensureChromium() };
  return run(node, [join(root, 'bench', `${name}.ts`), ...rest], { stdout: 'inherit', env });
});
