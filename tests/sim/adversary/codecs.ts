/** Every codec that decodes bytes of other nodes or of the own disk. */
import { decodeCbor, encodeCbor } from '#core/codec/cbor.ts';
import type { Shape } from '#core/codec/shape.ts';
import type { Result } from '#core/result.ts';
import {
  agreementFactShape,
  agreementMessageShape,
  decodeAgreementFact,
  decodeAgreementMessage,
  encodeAgreementFact,
  encodeAgreementMessage,
} from '#protocol/agreement/index.ts';
import {
  decodeDkgFact,
  decodeDkgMessage,
  decodeReadinessProof,
  dkgFactShape,
  dkgMessageShape,
  encodeDkgFact,
  encodeDkgMessage,
  encodeReadinessProof,
  readinessProofShape,
} from '#protocol/dkg/index.ts';
import {
  decodeHandoverFact,
  decodeHandoverMessage,
  encodeHandoverFact,
  encodeHandoverMessage,
  handoverFactShape,
  handoverMessageShape,
} from '#protocol/handover/codec.ts';
import {
  decodeMintAnswer,
  decodeMintFact,
  decodeMintRequest,
  encodeMintAnswer,
  encodeMintFact,
  encodeMintRequest,
  mintAnswerShape,
  mintFactShape,
  mintRequestShape,
} from '#protocol/mint/codec.ts';
import {
  decodeReplicationFact,
  decodeReplicationMessage,
  encodeReplicationFact,
  encodeReplicationMessage,
  replicationFactShape,
  replicationMessageShape,
} from '#protocol/replication/codec.ts';
import {
  decodeSpentbookAnswer,
  decodeSpentbookFact,
  decodeSpentbookRequest,
  encodeSpentbookAnswer,
  encodeSpentbookFact,
  encodeSpentbookRequest,
  spentbookAnswerShape,
  spentbookFactShape,
  spentbookRequestShape,
} from '#protocol/spentbook/codec.ts';
import {
  decodeGenesisFact,
  decodeGenesisMessage,
  encodeGenesisFact,
  encodeGenesisMessage,
  genesisFactShape,
  genesisMessageShape,
} from '#roles/genesis/codec.ts';
import {
  clientReplyShape,
  clientRequestShape,
  routingRequestShape,
  decodeClientReply,
  decodeClientRequest,
  decodeIncomingRequest,
} from '#roles/wire/client.ts';
import {
  decodeInvitation,
  decodeLobbyReply,
  decodeLobbyRequest,
  invitationShape,
  lobbyReplyShape,
  lobbyRequestShape,
} from '#roles/wire/lobby.ts';
import {
  decodeNodeReply,
  decodeNodeRequest,
  nodeReplyShape,
  nodeRequestShape,
} from '#roles/wire/node-requests.ts';
import {
  decodeNodeFact,
  decodeNodePayload,
  encodeNodeFact,
  encodeNodePayload,
  nodeFactShape,
  nodePayloadShape,
} from '#roles/wire/section-messages.ts';

export interface Codec {
  readonly name: string;
  readonly shape: Shape<unknown>;
  readonly decode: (bytes: Uint8Array) => Result<unknown, unknown>;
  readonly encode: (value: never) => Uint8Array;
}

/** Reads the name that request and envelope must share, if the bytes contain one. */
const named =
  (
    field: string,
    decode: (name: Uint8Array, bytes: Uint8Array) => Result<unknown, unknown>,
  ): Codec['decode'] =>
  (bytes) => {
    const opened = decodeCbor(bytes);
    const value = opened.ok ? (opened.value as Record<string, unknown> | null) : null;
    const name = typeof value === 'object' ? value?.[field] : undefined;
    return decode(name instanceof Uint8Array ? name : new Uint8Array(32), bytes);
  };

const codec = (
  name: string,
  shape: Shape<unknown>,
  decode: Codec['decode'],
  encode: Codec['encode'] = encodeCbor,
): Codec => ({ name, shape, decode, encode });

export const codecs: readonly Codec[] = [
  codec('section', nodePayloadShape, decodeNodePayload, encodeNodePayload),
  codec('section fact', nodeFactShape, decodeNodeFact, encodeNodeFact),
  codec('agreement', agreementMessageShape, decodeAgreementMessage, encodeAgreementMessage),
  codec('agreement fact', agreementFactShape, decodeAgreementFact, encodeAgreementFact),
  codec('dkg', dkgMessageShape, decodeDkgMessage, encodeDkgMessage),
  codec('dkg fact', dkgFactShape, decodeDkgFact, encodeDkgFact),
  codec('ready', readinessProofShape, decodeReadinessProof, encodeReadinessProof),
  codec('handover', handoverMessageShape, decodeHandoverMessage, encodeHandoverMessage),
  codec('handover fact', handoverFactShape, decodeHandoverFact, encodeHandoverFact),
  codec('replication', replicationMessageShape, decodeReplicationMessage, encodeReplicationMessage),
  codec('replication fact', replicationFactShape, decodeReplicationFact, encodeReplicationFact),
  codec(
    'spentbook request',
    spentbookRequestShape,
    named('slot', decodeSpentbookRequest),
    encodeSpentbookRequest,
  ),
  codec('spentbook answer', spentbookAnswerShape, decodeSpentbookAnswer, encodeSpentbookAnswer),
  codec('spentbook fact', spentbookFactShape, decodeSpentbookFact, encodeSpentbookFact),
  codec('mint request', mintRequestShape, named('key', decodeMintRequest), encodeMintRequest),
  codec('mint answer', mintAnswerShape, decodeMintAnswer, encodeMintAnswer),
  codec('mint fact', mintFactShape, decodeMintFact, encodeMintFact),
  codec('genesis', genesisMessageShape, decodeGenesisMessage, encodeGenesisMessage),
  codec('genesis fact', genesisFactShape, decodeGenesisFact, encodeGenesisFact),
  codec('client request', clientRequestShape, decodeClientRequest),
  codec('client handler', routingRequestShape, decodeIncomingRequest),
  codec('client reply', clientReplyShape, decodeClientReply),
  codec('node request', nodeRequestShape, decodeNodeRequest),
  codec('node reply', nodeReplyShape, decodeNodeReply),
  codec('lobby request', lobbyRequestShape, decodeLobbyRequest),
  codec('lobby reply', lobbyReplyShape, decodeLobbyReply),
  codec('invitation', invitationShape, decodeInvitation),
];
