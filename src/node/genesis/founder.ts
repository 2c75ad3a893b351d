/**
 * One founder of a network: runs the genesis machine over its own host until it has its share, and
 * keeps answering founders that are behind. The same for seven founders in one process and for seven
 * on separate computers.
 */
import { randomBytes } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeHost, Remote } from '#network/node-host.ts';
import {
  decodeGenesisFact,
  decodeGenesisMessage,
  encodeGenesisFact,
  encodeGenesisMessage,
  genesis,
  type GenesisOutcome,
  type GenesisConfig,
  type GenesisMessage,
} from '#roles/genesis/index.ts';
import {
  decodeNodeRequest,
  encodeNodeReply,
  encodeNodeRequest,
} from '#roles/wire/node-requests.ts';
import { startDriver } from '#runtime/driver.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { loadFacts, type FactStore } from '#storage/node/facts.ts';
import type { AdmissionControl } from '../requests/admission-control.ts';
import type { Log } from '../monitoring/log.ts';
import type { NodeIdentity } from '../data-folder/node-identity.ts';
import { systemClock } from '../system-clock.ts';

export interface FounderOptions {
  readonly config: Omit<GenesisConfig, 'self' | 'identitySeed' | 'sharingSecret'>;
  readonly identity: NodeIdentity;
  readonly host: NodeHost;
  readonly addressesOf: (name: Uint8Array) => readonly string[];
  /** Null: an interrupted genesis starts again, and no half-made secret is on a disk. */
  readonly facts: FactStore | null;
  readonly jobs: JobPool;
  readonly log: Log;
  readonly admission: AdmissionControl;
}

export interface Founder {
  /** Rejects when this program has a bug; two unresponsive or faulty founders only delay it. */
  readonly result: Promise<GenesisOutcome>;
  /** All founders have their share: erases what only genesis needed. */
  readonly eraseFacts: () => Promise<void>;
  readonly stop: () => void;
}

const messageTimeoutMs = 10_000;
/** Genesis facts in the founder's store; the key is the nonce of the attempt. */
const machine = 'genesis';

export async function startFounder(options: FounderOptions): Promise<Founder> {
  const { config, identity, host, facts, jobs, log } = options;
  const self = nameToId(identity.name);
  const key = toHex(config.nonce);
  const tag = `genesis-${key.slice(0, 32)}`;
  const founderNames = new Map(config.candidates.map((name) => [nameToId(name), name]));
  let settle: {
    readonly done: (outcome: GenesisOutcome) => void;
    readonly failed: (error: unknown) => void;
  };
  const result = new Promise<GenesisOutcome>((done, failed) => {
    settle = { done, failed };
  });
  result.catch(() => undefined); // Callers that await it still get the error.

  const driver = await startDriver(
    genesis,
    { ...config, self, identitySeed: identity.seed, sharingSecret: identity.sharing.secret },
    {
      clock: systemClock,
      randomBytes: (length) => new Uint8Array(randomBytes(length)),
      facts: {
        load: async () => (facts === null ? [] : loadFacts(facts, machine, key, decodeGenesisFact)),
        append: async (fact) => facts?.append(machine, key, encodeGenesisFact(fact)),
      },
      compute: (job) => jobs.run('genesis', job),
      transport: {
        send: (to, message) => {
          const name = founderNames.get(to);
          if (name === undefined) return;
          const request = encodeNodeRequest({
            kind: 'deliver',
            protocol: 'genesis',
            message: encodeGenesisMessage(message),
          });
          const peer = { name, addresses: options.addressesOf(name) };
          // A lost message is requested again by the machine's own gossip.
          void host.request(peer, 'section', tag, request, { timeoutMs: messageTimeoutMs });
        },
      },
      onOutput: (output) => settle.done(output),
      onFault: ({ kind, culprit }) =>
        log.write({ event: 'blamed', node: identity.label, kind, peer: culprit }),
      onFailure: (error) => settle.failed(error),
    },
  );

  const receive = (from: string, message: GenesisMessage): void => {
    driver.push({ kind: 'received', from, message });
  };
  await host.serve(
    'section',
    tag,
    founderHandler(options.admission, (id) => founderNames.has(id), receive),
  );

  return {
    result,
    eraseFacts: async () => facts?.erase(machine, key),
    stop: driver.stop,
  };
}

const notFounder = encodeNodeReply({
  kind: 'refused',
  refusal: { kind: 'notAllowed', rule: 'GENESIS-G1' },
});
const malformed = encodeNodeReply({
  kind: 'refused',
  refusal: { kind: 'malformed', what: 'genesis' },
});

/**
 * Answers genesis requests. Messages of a key generation are long: only a founder's are decoded,
 * and only when admission control runs them.
 */
export const founderHandler =
  (
    admission: AdmissionControl,
    isFounder: (id: string) => boolean,
    receive: (from: string, message: GenesisMessage) => void,
  ) =>
  async (bytes: Uint8Array, from: Remote): Promise<Uint8Array> => {
    const sender = from.name === null ? null : nameToId(from.name);
    if (sender === null || !isFounder(sender)) {
      from.reportInvalid();
      return notFounder;
    }
    const answered = await admission.run('system', from, bytes.length, async () => {
      const request = decodeNodeRequest(bytes);
      const isGenesis =
        request.ok && request.value.kind === 'deliver' && request.value.protocol === 'genesis';
      const message = isGenesis ? decodeGenesisMessage(request.value.message) : null;
      if (message?.ok !== true) {
        from.reportInvalid();
        return malformed;
      }
      receive(sender, message.value);
      return encodeNodeReply({ kind: 'accepted' });
    });
    return answered.ok
      ? answered.value
      : encodeNodeReply({ kind: 'refused', refusal: answered.error });
  };
