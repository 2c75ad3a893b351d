/** What an elder answers instead of handling a message. */
import { equalBytes, Reader, Writer } from '#core/codec/bytes.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  authoritySigningBytes,
  decodeAuthority,
  decodeSuccessor,
  encodeSuccessor,
  maxAuthorityBytes,
  maxChainLinks,
  maxSuccessorBytes,
  type SectionProof,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import { MESSAGE_ID_BYTES, TOKEN_BYTES } from './cover.ts';

/** Each names the message it answers; the sender kept that message, so it does not travel back. */
export type Reply =
  /** Right section, old key: here is what followed (a page of it). */
  | { readonly kind: 'retry'; readonly messageId: Uint8Array; readonly proof: SectionProof }
  /** Another section answers for that name: here is how to know it. */
  | { readonly kind: 'redirect'; readonly messageId: Uint8Array; readonly proof: SectionProof }
  /** N31: your key is unknown here; this is our newest record, and nothing more. */
  | {
      readonly kind: 'newest';
      readonly messageId: Uint8Array;
      readonly record: SignedSuccessor | null;
    }
  /** N31: the answer is larger than three times your message: say this token first. */
  | { readonly kind: 'challenge'; readonly messageId: Uint8Array; readonly token: Uint8Array };

const kinds = ['retry', 'redirect', 'newest', 'challenge'] as const;
/** A page of links and one authority. */
export const maxProofBytes = maxAuthorityBytes + maxChainLinks * (maxSuccessorBytes + 4) + 128;
export const maxReplyBytes = maxProofBytes + 128;

export function encodeReply(reply: Reply): Uint8Array {
  const writer = new Writer()
    .label('safe/v1/anti-entropy')
    .u8(kinds.indexOf(reply.kind))
    .fixed(reply.messageId, MESSAGE_ID_BYTES);
  switch (reply.kind) {
    case 'retry':
    case 'redirect':
      return writer.sized(encodeProof(reply.proof)).finish();
    case 'newest':
      return writer
        .sized(reply.record === null ? new Uint8Array() : encodeSuccessor(reply.record))
        .finish();
    case 'challenge':
      return writer.fixed(reply.token, TOKEN_BYTES).finish();
  }
}

export function decodeReply(bytes: Uint8Array): Result<Reply, 'malformed'> {
  const reply = bytes.length > maxReplyBytes ? undefined : readReply(new Reader(bytes));
  if (reply === undefined) return err('malformed');
  return equalBytes(encodeReply(reply), bytes) ? ok(reply) : err('malformed');
}

function readReply(reader: Reader): Reply | undefined {
  reader.sized(64); // The label: compared by encoding again.
  const kind = kinds[reader.u8()];
  const messageId = reader.fixed(MESSAGE_ID_BYTES);
  switch (kind) {
    case undefined:
      return undefined;
    case 'retry':
    case 'redirect': {
      const proof = decodeProof(reader.sized(maxProofBytes));
      return reader.finish() && proof.ok ? { kind, messageId, proof: proof.value } : undefined;
    }
    case 'newest': {
      const inside = reader.sized(maxSuccessorBytes);
      if (!reader.finish()) return undefined;
      if (inside.length === 0) return { kind, messageId, record: null };
      const record = decodeSuccessor(inside);
      return record.ok ? { kind, messageId, record: record.value } : undefined;
    }
    case 'challenge': {
      const token = reader.fixed(TOKEN_BYTES);
      return reader.finish() ? { kind, messageId, token } : undefined;
    }
  }
}

export function encodeProof({ links, authority }: SectionProof): Uint8Array {
  const writer = new Writer().u8(links.length);
  for (const link of links) writer.sized(encodeSuccessor(link));
  if (authority === null) return writer.u8(0).finish();
  return writer
    .u8(1)
    .sized(authoritySigningBytes(authority.authority))
    .fixed(authority.signature, 48)
    .finish();
}

/** The shape only; whether it proves anything is for `planUpdate` and its job. */
export function decodeProof(bytes: Uint8Array): Result<SectionProof, 'malformed'> {
  if (bytes.length > maxProofBytes) return err('malformed');
  const reader = new Reader(bytes);
  const count = reader.u8();
  if (count > maxChainLinks) return err('malformed');
  const links: SignedSuccessor[] = [];
  for (let i = 0; i < count; i++) {
    const link = decodeSuccessor(reader.sized(maxSuccessorBytes));
    if (!link.ok) return link;
    links.push(link.value);
  }
  const flag = reader.u8();
  if (flag === 0) return reader.finish() ? ok({ links, authority: null }) : err('malformed');
  const authority = decodeAuthority(reader.sized(maxAuthorityBytes));
  const signature = reader.fixed(48);
  if (flag !== 1 || authority === undefined || !reader.finish()) return err('malformed');
  return ok({ links, authority: { authority, signature } });
}
