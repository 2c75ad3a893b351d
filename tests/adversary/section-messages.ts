/**
 * Section messages that every decoder accepts and every rule rejects: well-formed, wrong content.
 */
import { createSigner } from '#node/keys/native-ed25519.ts';
import { emptyLedger, encodeSealedState } from '#protocol/section/index.ts';
import type { NodePayload } from '#roles/section-node/messages.ts';
import { signEnvelope } from '#roles/wire/node-envelope.ts';
import { encodeNodeRequest } from '#roles/wire/node-requests.ts';
import { encodeNodePayload } from '#roles/wire/section-messages.ts';
import type { Prng } from '../sim/prng.ts';
import type { NodePlace, Target } from './target.ts';

export type MakePayload = (target: Target, prng: Prng) => NodePayload;

const seven = <T>(make: () => T): readonly T[] => Array.from({ length: 7 }, make);

/** The current state, claimed to be a later one. */
const forgedState = ({ signed }: Target, prng: Prng): Uint8Array =>
  encodeSealedState({
    state: {
      authority: {
        ...signed.authority,
        generation: signed.authority.generation + 1n + BigInt(prng.below(3)),
      },
      ledger: emptyLedger,
    },
    signature: prng.bytes(48),
    chain: signed.chain,
  });

const certificate = (prng: Prng) => ({
  round: prng.below(3),
  value: [prng.bytes(32)],
  prevotes: Array.from({ length: 5 }, (_, voter) => ({
    voter,
    roundChangesDigest: prng.bytes(32),
    signature: prng.bytes(64),
  })),
});

/** By kind of message; created anew for each attempt, so that none is rejected as a repetition. */
export const payloads: Readonly<Record<string, MakePayload>> = {
  'forged update': (target, prng) => ({ kind: 'update', sealed: forgedState(target, prng) }),
  'invented readiness': (_, prng) => ({
    kind: 'ready',
    session: prng.bytes(32),
    child: 0,
    proof: {
      list: seven(() => prng.bytes(32)),
      key: prng.bytes(96),
      publicShares: seven(() => prng.bytes(96)),
      signature: prng.bytes(48),
      vouchers: [1, 2, 3, 4, 5].map((candidate) => ({ candidate, signature: prng.bytes(64) })),
    },
  }),
  'join without a vacancy': (_, prng) => ({ kind: 'join', body: prng.bytes(80) }),
  'false share': ({ signed }, prng) => ({
    kind: 'share',
    generation: signed.authority.generation + 1n,
    of: prng.pick(['churn', 'seal'] as const),
    signature: prng.bytes(48),
  }),
  'false endorsement': ({ signed }, prng) => ({
    kind: 'endorse',
    generation: signed.authority.generation + 1n,
    body: prng.bytes(40),
    signature: prng.bytes(64),
  }),
  'false vote': ({ signed }, prng) => {
    const generation = signed.authority.generation + 1n;
    const prevote = {
      voter: prng.below(7),
      round: 0,
      value: [prng.bytes(32)],
      roundChanges: [],
      signature: prng.bytes(64),
    };
    const proposals = [prng.bytes(200)];
    return {
      kind: 'agreement',
      generation,
      message: { kind: 'prevote', generation, prevote, proposals },
    };
  },
  'false precommit': ({ signed }, prng) => {
    const generation = signed.authority.generation + 1n;
    const precommit = { voter: 5, certificate: certificate(prng), signature: prng.bytes(64) };
    return { kind: 'agreement', generation, message: { kind: 'precommit', generation, precommit } };
  },
  'unrequested proposals': ({ signed }, prng) => {
    const generation = signed.authority.generation + 1n;
    const proposals = Array.from({ length: 16 }, () => prng.bytes(400));
    return { kind: 'agreement', generation, message: { kind: 'proposals', generation, proposals } };
  },
  'status of an unknown key generation': (_, prng) => {
    const sessionId = prng.bytes(32);
    const inventory = { tick: prng.below(1000), keys: 127, lists: 127, readiness: [] };
    const wants = seven(() => ({ dealer: 1 + prng.below(7), hash: prng.bytes(32) }));
    return {
      kind: 'dkg',
      session: sessionId,
      child: 0,
      message: { kind: 'status', sessionId, inventory, wants },
    };
  },
  'statements never signed': ({ signed }, prng) => ({
    kind: 'stateAnswer',
    generation: signed.authority.generation + 1n,
    statements: seven(() => ({
      round: prng.below(4),
      phase: prng.pick(['prevote', 'precommit', 'roundChange'] as const),
      body: prng.bytes(32),
      signature: prng.bytes(64),
    })),
  }),
  'links that lead nowhere': (_, prng) => ({
    kind: 'chainSegment',
    links: Array.from({ length: 16 }, () => prng.bytes(400)),
  }),
  'unknown relocation certificate': (_, prng) => ({
    kind: 'requestCertificateShare',
    certificateId: prng.bytes(32),
  }),
};

/** A request that delivers this payload, signed by the sender's own key. */
export function deliver(
  target: Target,
  from: { readonly name: Uint8Array; readonly seed: Uint8Array },
  to: NodePlace,
  payload: NodePayload,
  prng: Prng,
): Uint8Array {
  const { authority } = target.signed;
  const envelope = {
    from: from.name,
    to: to.name,
    key: authority.key,
    generation: authority.generation,
    id: prng.bytes(16),
    payload: encodeNodePayload(payload),
  };
  const message = signEnvelope(target.anchor.networkId, envelope, createSigner(from.seed));
  return encodeNodeRequest({ kind: 'deliver', protocol: 'section', message });
}
