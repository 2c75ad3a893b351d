/** What the parts of the program `safe node` share. */
import type { NodeHost } from '#network/node-host.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import type { FactStore } from '#storage/node/facts.ts';
import type { NextIdentity, NodeIdentity } from '../data-folder/node-identity.ts';
import type { JoinPoint } from '../joining/network-join.ts';
import type { RunningNode } from '../node.ts';
import type { NodeParts } from './node-parts.ts';
import type { Program, Stops } from './program-lifecycle.ts';
import type { Command } from './safe-args.ts';

export type NodeCommand = Extract<Command, { kind: 'node' }>;

/** The node's folder within the data folder, and its name in the log. */
export const nodeLabel = 'self';
export interface NodeProgram extends Program {
  readonly command: NodeCommand;
  readonly joinPoint: JoinPoint | null;
  readonly jobs: JobPool;
  readonly parts: NodeParts;
  /** The node as `/status.json` shows it. */
  readonly current: { identity?: NodeIdentity; node?: RunningNode };
}

/** One run of a node under one name, as far as its parts share it. */
export interface NodeRun {
  readonly program: NodeProgram;
  readonly identity: NodeIdentity;
  readonly relocation: Relocation | null;
  readonly host: NodeHost;
  readonly facts: FactStore;
  readonly stops: Stops;
}

export interface Relocation {
  readonly old: NodeIdentity;
  readonly next: NextIdentity;
}
