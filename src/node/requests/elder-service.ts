/** An elder's service: answers clients about the section, stores their data at adults, runs the money. */
import { PROTOCOL_MAJOR } from '#network/protocols.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  encodeSignedAuthority,
  sectionProofOf,
  type SignedAuthority,
} from '#protocol/section/index.ts';
import type { ClientReply, ClientRequest } from '#roles/wire/client.ts';
import { refusalReply, type ClientHandlerOptions } from './client-handler.ts';
import { createElderData, type ElderDataOptions } from '../chunk-storage/elder-data-service.ts';
import { createElderMoney, type ElderMoney, type ElderMoneyOptions } from '../money/elder-money.ts';

export interface ElderOptions
  extends Omit<ElderDataOptions, 'authority'>, Omit<ElderMoneyOptions, 'authority'> {
  /** The newest state of the section; its key never changes within one service. */
  readonly signed: () => SignedAuthority;
  /** The elders' own address records, encoded. */
  readonly addresses: () => readonly Uint8Array[];
}

export interface ClientService {
  /** Called by the request handler; when it rejects, the handler answers "busy". */
  readonly answer: ClientHandlerOptions['answer'];
  readonly stop: () => void;
}

export interface ElderService extends ClientService {
  readonly money: ElderMoney;
}

export async function createElderService(options: ElderOptions): Promise<ElderService> {
  const { name, signed } = options;
  const authority = () => signed().authority;
  const data = createElderData({ ...options, authority });
  const money = await createElderMoney({ ...options, authority: authority() });

  const answer: ClientHandlerOptions['answer'] = async (request, invalid, peer) => {
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
      case 'slot':
      case 'outputs':
        return money.answer(request, invalid, peer);
    }
  };
  return {
    answer,
    money,
    stop: money.stop,
  };
}

export type RedirectOptions = Pick<ElderOptions, 'name' | 'addresses'> & {
  readonly role: 'bootstrap' | 'adult' | 'outsider';
  /** Null while this node knows no verified state. */
  readonly signed: () => SignedAuthority | null;
};

/**
 * A node that is not an elder: redirects clients to the elders and stores nothing for them. It answers
 * a request for an elder with the proof of the current elders (N30).
 */
export function createRedirectService(options: RedirectOptions): ClientService {
  const answer = async (request: ClientRequest): Promise<ClientReply> => {
    const signed = options.signed();
    if (signed === null) return refusalReply({ kind: 'busy', afterMs: 2_000 });
    if (request.kind === 'hello' || request.kind === 'authority' || request.kind === 'addresses') {
      return answerAboutSection(request, { ...options, signed });
    }
    const proof = encodeProof(sectionProofOf(signed));
    if (options.role === 'bootstrap')
      return refusalReply({ kind: 'notAllowed', rule: 'askAnElder' });
    return refusalReply({ kind: 'redirect', proof });
  };
  return { answer, stop: () => undefined };
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
      return { kind: 'hello', networkId, name, role, protocol: PROTOCOL_MAJOR, serving: true };
    }
    case 'authority':
      return { kind: 'authority', authority: encodeSignedAuthority(signed) };
    case 'addresses':
      return { kind: 'addresses', records: addresses() };
  }
}
