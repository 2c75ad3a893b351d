/**
 * What is looked at of a message before anybody looks inside: for whom it is, and under which key.
 * How it travels, and that it is signed as one with its content (N32), is the wire's to say
 * (`roles/wire`).
 */
import type { XorName } from '#address/xor-name.ts';

export interface Cover {
  /** Who says it. */
  readonly source: XorName;
  /** The name it is about: a node's, a chunk's, a slot's. Its section answers. */
  readonly destinationName: XorName;
  /** 96 bytes: that section's key as the sender knows it; zeros when it knows none. */
  readonly destinationKey: Uint8Array;
  /** The newest generation the sender knows under that key. */
  readonly generation: bigint;
  /** 16 bytes, chosen by the sender; a reply carries it instead of the message. */
  readonly messageId: Uint8Array;
  /** 16 bytes the receiver once gave out, echoed; zeros for none (N31). */
  readonly token: Uint8Array;
}

export const MESSAGE_ID_BYTES = 16;
export const TOKEN_BYTES = 16;

export const noToken = new Uint8Array(TOKEN_BYTES);
export const noKey = new Uint8Array(96);
