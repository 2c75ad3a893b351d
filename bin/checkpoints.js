/**
 * `bin/safe network status --data DIR --json | node bin/checkpoints.js` writes the sections that two
 * nodes prove into src/service-worker/checkpoints.json: the next build of the app pins them (N33).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withNetwork } from './lib/checkpoints.js';
import { main, root, showProgress, Stop } from './lib/root.js';

const path = join(root, 'src/service-worker/checkpoints.json');

main(async () => {
  const status = statusFrom(readFileSync(0, 'utf8'));
  const made = withNetwork(JSON.parse(readFileSync(path, 'utf8')), status);
  writeFileSync(path, `${JSON.stringify(made, null, 2)}\n`);
  const upTo = Math.max(...status.sections.map(({ epoch }) => epoch));
  showProgress(
    `${status.sections.length} sections of ${status.network.name}, up to epoch ${upTo}: ${path}`,
  );
  return 0;
});

function statusFrom(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Stop('Give the JSON of `bin/safe network status --json` on stdin.', 2);
  }
}
