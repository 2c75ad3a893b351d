/** `safe node`: one node in its own process, from joining to shutdown. */
import { availableParallelism } from 'node:os';
import { showPrefix } from '#address/prefix.ts';
import { ageOf } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import { createJobPool } from '#runtime/jobs/job-pool.ts';
import type { DataFolder } from '#storage/node/data-folder.ts';
import { Problem } from '#storage/node/problem.ts';
import { openIdentity, type NodeIdentity } from '../data-folder/node-identity.ts';
import { loadNetwork } from '../data-folder/saved-network.ts';
import { startHttpServer } from '../http/http-server.ts';
import { parseJoinPoint, type JoinPoint } from '../joining/network-join.ts';
import type { RunningNode } from '../node.ts';
import type { NodeParts } from './node-parts.ts';
import { nodeLabel, type NodeCommand, type NodeProgram } from './node-program.ts';
import { runUnderNames } from './node-runs.ts';
import { logMetrics, startProgram } from './program-lifecycle.ts';

const joinFile = 'join';

export async function runNode(command: NodeCommand, parts: NodeParts): Promise<never> {
  const base = startProgram(command.data, { fresh: false });
  const { folder, stops, stop } = base;
  const joinPoint = joinPointOf(command, folder);
  const jobs = createJobPool(availableParallelism());
  stops.push(jobs.stop);
  const program: NodeProgram = { ...base, command, parts, joinPoint, jobs, current: {} };
  const first = await openIdentity(folder.node(nodeLabel), nodeLabel, command.joinPrefix);
  if (command.metricsPort !== null) {
    const status = (): object => statusOf(program.current.identity ?? first, program.current.node);
    const httpServer = await startMetricsServer(program, command.metricsPort, status);
    stops.push(httpServer.close);
  }
  logMetrics(base, nodeLabel);
  stop.enable();
  return runUnderNames(program);
}

function joinPointOf(command: NodeCommand, folder: DataFolder): JoinPoint | null {
  const text = command.join ?? folder.readText(joinFile)?.trim() ?? null;
  if (text === null) {
    if (loadNetwork(folder) !== null) return null;
    throw new Problem(
      'broken',
      `This folder belongs to no network yet: give the address of a node with --join MULTIADDR.`,
    );
  }
  const point = parseJoinPoint(text);
  if (point === undefined) {
    throw new Problem(
      'broken',
      `"${text}" is not the address of a node: copy the line that "safe network create" printed, for --join MULTIADDR.`,
    );
  }
  folder.writeText(joinFile, `${text}\n`);
  return point;
}

const startMetricsServer = (
  { command: { hostNames }, metrics, parts: { posts } }: NodeProgram,
  port: number,
  status: () => object,
) =>
  startHttpServer({
    port,
    files: { answer: () => ({ status: 404, headers: {}, body: Buffer.from('Not found.\n') }) },
    networkFile: () => '',
    wsPort: () => null,
    metrics: metrics.toText,
    posts,
    jsons: { '/status.json': status },
    hostNames,
    count: () => undefined,
  });

function statusOf(identity: NodeIdentity, node: RunningNode | undefined): object {
  const authority = node?.signed()?.authority;
  return {
    name: toHex(identity.name),
    age: ageOf(identity.name),
    role: node?.role() ?? 'joining',
    prefix: authority === undefined ? null : showPrefix(authority.prefix),
    key: authority === undefined ? null : toHex(authority.key),
    generation: authority === undefined ? null : Number(authority.generation),
    members: authority?.members.length ?? 0,
  };
}
