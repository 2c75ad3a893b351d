/** An elder: answers clients about the section, carries their data to adults, keeps the money. */
import type { NodeId } from '#core/machine.ts';
import type { Result } from '#core/result.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import type { Item } from '#protocol/replication/index.ts';
import { encodeSignedAuthority, proofOf, type SignedAuthority } from '#protocol/section/index.ts';
import type { ClientReply, ClientRequest } from '#roles/wire/client.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { createClientDoor, refused, type ClientFrom, type DoorOptions } from './client-door.ts';
import { createElderData } from './elder-data-service.ts';
import { createElderMoney, type ElderMoney, type MoneyPast } from './elder-money.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Misbehaviour } from './section-port.ts';

export interface ElderOptions {
  readonly label: string;
  readonly name: Uint8Array;
  readonly identitySeed: Uint8Array;
  readonly secretShare: Uint8Array;
  /** What earlier epochs left; nothing by default. */
  readonly past?: MoneyPast;
  /** Money cites a key that this elder has not heard of; its slot says where to ask. */
  readonly unknownKey?: (slot: Uint8Array) => void;
  /** The newest state of the section; its key is the same for the life of this service. */
  readonly signed: () => SignedAuthority;
  readonly facts: FactStore;
  readonly jobs: JobPool;
  /** The elders' own address records, encoded. */
  readonly addresses: () => readonly Uint8Array[];
  readonly request: (
    holder: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  /** Members that say that their disk is full (N39). */
  readonly full: () => ReadonlySet<NodeId>;
  readonly onStored?: (item: Item) => void;
  /** A write did not reach this holder (N42). */
  readonly repair: (holder: Uint8Array, item: Item) => void;
  /** What a holder did: for fault detection (N7). */
  readonly misbehaved: (holder: NodeId, issue: Misbehaviour) => void;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface ClientService {
  /** What the door asks: may reject, and then the door says "busy". */
  readonly answer: DoorOptions['answer'];
  readonly handle: (bytes: Uint8Array, from: ClientFrom) => Promise<Uint8Array>;
  readonly stop: () => void;
}

export interface ElderService extends ClientService {
  readonly money: ElderMoney;
  /** Off: answers REGISTER with "busy". A switch for tests that stop a payment after COMMIT. */
  readonly setRegistering: (on: boolean) => void;
}

export const protocolVersion = 1;

export async function createElderService(options: ElderOptions): Promise<ElderService> {
  const { label, name, signed, log, metrics } = options;
  const authority = () => signed().authority;
  const data = createElderData({ ...options, authority });
  const money = await createElderMoney({ ...options, authority: authority() });

  let registering = true;

  const answer: DoorOptions['answer'] = async (request, invalid) => {
    switch (request.kind) {
      case 'hello':
      case 'authority':
      case 'addresses':
        return answerAboutSection(request, {
          role: 'elder',
          name,
          signed: signed(),
          addresses: options.addresses,
        });
      case 'putChunk':
      case 'getChunk':
      case 'putPointer':
      case 'getPointer':
        return data(request);
      case 'output':
        if (!registering) return refused({ kind: 'busy', afterMs: 1_000 });
        return money.answer(request, invalid);
      case 'slot':
      case 'outputs':
        return money.answer(request, invalid);
    }
  };
  return {
    answer,
    handle: createClientDoor({ label, answer, log, metrics }),
    money,
    stop: money.stop,
    setRegistering: (on) => {
      registering = on;
    },
  };
}

export type GuideOptions = Pick<
  ElderOptions,
  'label' | 'name' | 'addresses' | 'log' | 'metrics'
> & {
  readonly role: 'bootstrap' | 'adult' | 'outsider';
  /** Null while this node knows no verified state. */
  readonly signed: () => SignedAuthority | null;
} & Pick<DoorOptions, 'view' | 'records'>;

/**
 * A node that is no elder: leads clients to the elders and keeps nothing for them. A request for
 * an elder is answered with the proof of who the elders are (N30).
 */
export function createGuideService(options: GuideOptions): ClientService {
  const answer = async (request: ClientRequest): Promise<ClientReply> => {
    const signed = options.signed();
    if (signed === null) return refused({ kind: 'busy', afterMs: 2_000 });
    if (request.kind === 'hello' || request.kind === 'authority' || request.kind === 'addresses') {
      return answerAboutSection(request, { ...options, signed });
    }
    const proof = encodeProof(proofOf(signed));
    if (options.role === 'bootstrap') return refused({ kind: 'notAllowed', rule: 'askAnElder' });
    return refused({ kind: 'redirect', proof });
  };
  return { answer, handle: createClientDoor({ ...options, answer }), stop: () => undefined };
}

interface AboutSection {
  readonly role: 'elder' | 'bootstrap' | 'adult' | 'outsider';
  readonly name: Uint8Array;
  readonly signed: SignedAuthority;
  readonly addresses: () => readonly Uint8Array[];
}

function answerAboutSection(
  request: Extract<ClientRequest, { kind: 'hello' | 'authority' | 'addresses' }>,
  { role, name, signed, addresses }: AboutSection,
): ClientReply {
  switch (request.kind) {
    case 'hello': {
      const { networkId } = signed.authority;
      return { kind: 'hello', networkId, name, role, protocol: protocolVersion, serving: true };
    }
    case 'authority':
      return { kind: 'authority', authority: encodeSignedAuthority(signed) };
    case 'addresses':
      return { kind: 'addresses', records: addresses() };
  }
}
