/** The parts of a node that its program chooses; a test's program wraps them. */
import { createNodeHost } from '#network/node-host.ts';
import type { JsonHandler } from '../http/http-server.ts';
import { sectionRunner } from '../section/section-runner.ts';

export interface NodeParts {
  readonly createHost: typeof createNodeHost;
  readonly runSection: typeof sectionRunner;
  /** Further paths of the program's HTTP port that take `POST`. */
  readonly posts: Readonly<Record<string, JsonHandler>>;
}

export const networkParts: NodeParts = {
  createHost: createNodeHost,
  runSection: sectionRunner,
  posts: {},
};
