/** Prepares a fresh clone for running any program. */
import { findNode } from './find-node.js';
import { ensureInstalled } from './install.js';

/** Installs what is missing; resolves with the path of the Node.js to run programs with. */
export async function setup() {
  await ensureInstalled();
  return findNode();
}
