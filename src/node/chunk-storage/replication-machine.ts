/** The running replication machine: its facts, messages and faults, and the state after its last step. */
import { randomBytes } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import type { Event, Machine, NodeId } from '#core/machine.ts';
import {
  decodeReplicationFact,
  encodeReplicationFact,
  encodeReplicationMessage,
  replication,
  type Replication,
  type ReplicationConfig,
  type ReplicationFault,
  type ReplicationInput,
  type ReplicationMessage,
  type ReplicationOutput,
  type ReplicationState,
} from '#protocol/replication/index.ts';
import { startDriver, type Clock, type Ports } from '#runtime/driver.ts';
import { loadFacts, type FactStore } from '#storage/node/facts.ts';
import { createSigner, isSignedBy } from '../keys/native-ed25519.ts';
import type { Log } from '../monitoring/log.ts';
import type { Metrics } from '../monitoring/metrics.ts';
import type { Holdings } from './holdings.ts';
import { systemClock } from '../system-clock.ts';
import type { RequestPeer } from '../peers/node-links.ts';

export interface ReplicationServiceOptions {
  readonly label: string;
  readonly networkId: Uint8Array;
  readonly name: Uint8Array;
  readonly identitySeed: Uint8Array;
  readonly holdings: Holdings;
  readonly facts: FactStore;
  /** May lose messages: the machine asks again. */
  readonly send: (to: NodeId, message: Uint8Array, kind: string) => void;
  /** Sends one request of the data protocol; resolves within its own time limit. */
  readonly request: RequestPeer;
  /** Every incoming message, also answers to an elder's own questions (N42). */
  readonly onMessage?: (from: NodeId, message: ReplicationMessage) => void;
  /** This peer refers to a newer state than ours, or is not a member of any state we know. */
  readonly behind?: (peer: NodeId) => void;
  readonly blamed: (kind: ReplicationFault['kind'], culprit: NodeId) => void;
  /** A bug of this node: no later message of this machine may be relied on. */
  readonly failed: (error: unknown) => void;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Shorter in tests. */
  readonly timing?: ReplicationTiming;
  readonly clock?: Clock;
}

export interface ReplicationTiming {
  readonly tickMs: number;
  readonly budgetBytesPerTick: number;
  readonly budgetBurstBytes: number;
  readonly relistEveryTicks: number;
  /** How often a disk that is full or could not be read is checked again. */
  readonly roomCheckMs: number;
}

export type ReplicationMachine = Awaited<ReturnType<typeof startReplicationMachine>>;

const machineName = 'replication';

export async function startReplicationMachine(
  options: ReplicationServiceOptions,
  pace: Omit<ReplicationTiming, 'roomCheckMs'>,
  onOutput: (output: ReplicationOutput) => void,
) {
  const sign = createSigner(options.identitySeed);
  const config: ReplicationConfig = {
    networkId: options.networkId,
    self: options.name,
    identitySeed: options.identitySeed,
    identity: { sign: (_seed, message) => sign(message), verify: isSignedBy },
    ...pace,
  };
  let state: ReplicationState | undefined;
  let stopped = false;
  /** The driver hides the state, so keep the state of the last step to answer questions. */
  const observed: Machine<ReplicationConfig, ReplicationState, Replication> = {
    start: (...args) => {
      const step = replication.start(...args);
      ({ state } = step);
      return step;
    },
    step: (...args) => {
      const step = replication.step(...args);
      ({ state } = step);
      return step;
    },
  };
  const driver = await startDriver(observed, config, portsOf(options, onOutput));
  /** Does nothing after `stop`. */
  const push = (event: Event<Replication>): void => {
    if (!stopped) driver.push(event);
  };
  return {
    config,
    state: (): ReplicationState => {
      assert(state !== undefined, 'the machine has started');
      return state;
    },
    push,
    input: (input: ReplicationInput): void => push({ kind: 'input', input }),
    idle: driver.idle,
    isStopped: (): boolean => stopped,
    /** Not after `stop`: errors are expected then. */
    logFailure: (event: string, error: unknown): void => {
      if (!stopped) options.log.write({ event, node: options.label, error: String(error) });
    },
    stop: (): void => {
      stopped = true;
      driver.stop();
    },
  };
}

function portsOf(
  { name, clock, facts, send, metrics, blamed, failed }: ReplicationServiceOptions,
  onOutput: (output: ReplicationOutput) => void,
): Ports<Replication> {
  const self = nameToId(name);
  return {
    clock: clock ?? systemClock,
    randomBytes: (length) => new Uint8Array(randomBytes(length)),
    facts: {
      load: () => loadFacts(facts, machineName, self, decodeReplicationFact),
      append: (fact) => facts.append(machineName, self, encodeReplicationFact(fact)),
    },
    compute: async () => {
      throw new Error('invariant broken: replication has no jobs');
    },
    transport: {
      send: (to, message) => send(to, encodeReplicationMessage(message), `data/${message.kind}`),
    },
    onOutput,
    onFault: ({ kind, culprit }) => {
      metrics.count('safe_data_faults_total', kind);
      blamed(kind, culprit);
    },
    onFailure: failed,
  };
}
