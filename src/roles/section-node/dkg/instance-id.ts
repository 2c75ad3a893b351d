import { toHex } from '#core/codec/bytes.ts';

/** Names one key generation: a session and its child, 0 or 1. */
export const dkgInstanceId = (session: Uint8Array, child: number): string =>
  `${toHex(session)}.${child}`;
