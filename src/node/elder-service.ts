/** An elder: answers clients about the section, carries their data to adults, keeps the money. */
import type { Result } from '#core/result.ts';
import { encodeSignedAuthority, type SignedAuthority } from '#protocol/section/index.ts';
import type { ClientReply, ClientRequest } from '#roles/wire/client.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import type { FactStore } from '#storage/node/facts.ts';
import { createClientDoor, refused } from './client-door.ts';
import { createElderData } from './elder-data-service.ts';
import { createElderMoney } from './elder-money.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

export interface ElderOptions {
  readonly label: string;
  readonly name: Uint8Array;
  readonly identitySeed: Uint8Array;
  readonly secretShare: Uint8Array;
  readonly signed: SignedAuthority;
  readonly facts: FactStore;
  readonly jobs: JobPool;
  /** The elders' own address records, encoded. */
  readonly addresses: () => readonly Uint8Array[];
  readonly request: (
    holder: Uint8Array,
    request: Uint8Array,
  ) => Promise<Result<Uint8Array, unknown>>;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface ClientService {
  readonly handle: (bytes: Uint8Array, from: { readonly peerId: string }) => Promise<Uint8Array>;
  readonly stop: () => void;
}

export interface ElderService extends ClientService {
  /** Off: answers REGISTER with "busy". A switch for tests that stop a payment after COMMIT. */
  readonly setRegistering: (on: boolean) => void;
}

export const protocolVersion = 1;

export async function createElderService(options: ElderOptions): Promise<ElderService> {
  const { label, name, signed, log, metrics } = options;
  const { authority } = signed;
  const data = createElderData({ label, authority, request: options.request, log });
  const money = await createElderMoney({ ...options, authority });

  let registering = true;

  const answer = async (request: ClientRequest): Promise<ClientReply> => {
    switch (request.kind) {
      case 'hello':
      case 'authority':
      case 'addresses':
        return answerAboutSection(request, {
          role: 'elder',
          name,
          signed,
          addresses: options.addresses,
        });
      case 'putChunk':
      case 'getChunk':
      case 'putPointer':
      case 'getPointer':
        return data(request);
      case 'output':
        if (!registering) return refused({ kind: 'busy', afterMs: 1_000 });
        return money.answer(request);
      case 'slot':
      case 'outputs':
        return money.answer(request);
    }
  };
  return {
    handle: createClientDoor({ label, answer, log, metrics }),
    stop: money.stop,
    setRegistering: (on) => {
      registering = on;
    },
  };
}

/** The bootstrap node: leads clients to the elders and relays their signalling; keeps nothing. */
export function createBootstrapService(
  options: Pick<ElderOptions, 'label' | 'name' | 'signed' | 'addresses' | 'log' | 'metrics'>,
): ClientService {
  const answer = async (request: ClientRequest): Promise<ClientReply> => {
    if (request.kind === 'hello' || request.kind === 'authority' || request.kind === 'addresses') {
      return answerAboutSection(request, { role: 'bootstrap', ...options });
    }
    return refused({ kind: 'notAllowed', rule: 'askAnElder' });
  };
  return { handle: createClientDoor({ ...options, answer }), stop: () => undefined };
}

interface AboutSection {
  readonly role: 'elder' | 'bootstrap';
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
