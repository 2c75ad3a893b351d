/**
 * One founder of a network: runs the genesis machine over its own host until it holds its share,
 * and goes on answering founders that are behind. The same for seven founders in one process and
 * for seven on machines of their own.
 */
import { randomBytes } from 'node:crypto';
import { nameToId } from '#address/xor-name.ts';
import { assert } from '#core/assert.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeHost, Remote } from '#network/node-host.ts';
import {
  decodeGenesisFact,
  decodeGenesisMessage,
  encodeGenesisFact,
  encodeGenesisMessage,
  genesis,
  type Born,
  type GenesisConfig,
  type GenesisMessage,
} from '#roles/genesis/index.ts';
import { decodeNodeRequest, encodeNodeReply, encodeNodeRequest } from '#roles/wire/node.ts';
import { startDriver } from '#runtime/driver.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import type { FactStore } from '#storage/node/facts.ts';
import type { Gate } from './gate.ts';
import type { Log } from './log.ts';
import type { NodeIdentity } from './node-folder.ts';
import { systemClock } from './system-clock.ts';

export interface FounderOptions {
  readonly config: Omit<GenesisConfig, 'self' | 'identitySeed' | 'sharingSecret'>;
  readonly identity: NodeIdentity;
  readonly host: NodeHost;
  readonly addressesOf: (name: Uint8Array) => readonly string[];
  /** Null: a birth that is cut short is begun again, and no half-made secret lies on a disk. */
  readonly facts: FactStore | null;
  readonly jobs: JobPool;
  readonly log: Log;
  readonly gate: Gate;
}

export interface Founder {
  /** Rejects when this program is broken; two silent or lying founders only make it slower. */
  readonly born: Promise<Born>;
  /** All founders are born: forgets what only the birth needed. */
  readonly forget: () => Promise<void>;
  readonly stop: () => void;
}

const messageTimeoutMs = 10_000;
/** Facts of a birth in the founder's store; the nonce tells attempts apart. */
const machine = 'genesis';

export async function startFounder(options: FounderOptions): Promise<Founder> {
  const { config, identity, host, facts, jobs, log } = options;
  const self = nameToId(identity.name);
  const key = toHex(config.nonce);
  const tag = `genesis-${key.slice(0, 32)}`;
  const others = new Map(config.candidates.map((name) => [nameToId(name), name]));
  let settle: { readonly done: (born: Born) => void; readonly failed: (error: Error) => void };
  const born = new Promise<Born>((done, failed) => {
    settle = { done, failed };
  });
  born.catch(() => undefined); // Whoever waits for it hears of it.

  const driver = await startDriver(
    genesis,
    { ...config, self, identitySeed: identity.seed, sharingSecret: identity.sharing.secret },
    {
      clock: systemClock,
      randomBytes: (length) => new Uint8Array(randomBytes(length)),
      facts: {
        load: async () =>
          ((await facts?.load(machine, key)) ?? []).map((bytes) => {
            const fact = decodeGenesisFact(bytes);
            assert(fact.ok, 'a stored fact decodes');
            return fact.value;
          }),
        append: async (fact) => facts?.append(machine, key, encodeGenesisFact(fact)),
      },
      compute: (job) => jobs.run('genesis', job),
      transport: {
        send: (to, message) => {
          const name = others.get(to);
          if (name === undefined) return;
          const request = encodeNodeRequest({
            kind: 'deliver',
            protocol: 'genesis',
            message: encodeGenesisMessage(message),
          });
          const peer = { name, addresses: options.addressesOf(name) };
          // A lost message is asked for again by the machine's own gossip.
          void host.request(peer, 'section', tag, request, { timeoutMs: messageTimeoutMs });
        },
      },
      onOutput: (output) => settle.done(output),
      onFault: ({ kind, culprit }) =>
        log.write({ event: 'blamed', node: identity.label, kind, peer: culprit }),
    },
  );
  driver.idle().catch((error: Error) => settle.failed(error));

  const receive = (from: string, message: GenesisMessage): void => {
    driver.push({ kind: 'received', from, message });
    driver.idle().catch((error: Error) => settle.failed(error));
  };
  await host.serve(
    'section',
    tag,
    answerFounders(options.gate, (id) => others.has(id), receive),
  );

  return {
    born,
    forget: async () => facts?.erase(machine, key),
    stop: driver.stop,
  };
}

const notFounder = encodeNodeReply({
  kind: 'refused',
  refusal: { kind: 'notAllowed', rule: 'G1' },
});
const malformed = encodeNodeReply({
  kind: 'refused',
  refusal: { kind: 'malformed', what: 'genesis' },
});

/**
 * Answers requests of a birth. Messages of a key generation are long: nothing is decoded for anybody
 * but a founder, and for a founder only when it is its turn.
 */
export const answerFounders =
  (
    gate: Gate,
    isFounder: (id: string) => boolean,
    receive: (from: string, message: GenesisMessage) => void,
  ) =>
  async (bytes: Uint8Array, from: Remote): Promise<Uint8Array> => {
    const sender = from.name === null ? null : nameToId(from.name);
    if (sender === null || !isFounder(sender)) {
      from.invalid();
      return notFounder;
    }
    const answered = await gate.enter('system', from, bytes.length, async () => {
      const request = decodeNodeRequest(bytes);
      const isGenesis =
        request.ok && request.value.kind === 'deliver' && request.value.protocol === 'genesis';
      const message = isGenesis ? decodeGenesisMessage(request.value.message) : null;
      if (message?.ok !== true) {
        from.invalid();
        return malformed;
      }
      receive(sender, message.value);
      return encodeNodeReply({ kind: 'taken' });
    });
    return answered.ok
      ? answered.value
      : encodeNodeReply({ kind: 'refused', refusal: answered.error });
  };
