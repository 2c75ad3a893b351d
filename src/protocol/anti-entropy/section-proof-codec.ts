/**
 * Byte layout of the proof with which an elder refuses a message: links and at most one authority.
 */
import { Reader, Writer } from '#core/codec/bytes.ts';
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

/** A full page of links and one authority. */
export const maxProofBytes = maxAuthorityBytes + maxChainLinks * (maxSuccessorBytes + 4) + 128;

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

/** Checks the layout only; `planUpdate` and its job verify the proof. */
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
