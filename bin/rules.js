/** `npm run rules`: writes docs/rules.md from docs/spec, the code and the tests. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { main, root, showProgress } from './lib/root.js';
import { setup } from './lib/setup.js';

const program = `
  import { rulesIndex } from './tests/support/rules-index.ts';
  process.stdout.write(rulesIndex());
`;

main(async () => {
  const node = await setup();
  const text = execFileSync(node, ['--input-type=module', '--eval', program], { cwd: root });
  writeFileSync(join(root, 'docs/rules.md'), text);
  showProgress('docs/rules.md is written.');
});
