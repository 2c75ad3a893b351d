/**
 * Why a node refused a request. One union for every protocol, mapped by kind and never by text;
 * each kind has one reaction: repeat the same bytes, wait, follow the proof, inform the person.
 */
import {
  bytesUpTo,
  either,
  intBetween,
  record,
  textUpTo,
  union,
  type Shape,
  type ShapeOf,
} from './codec/shape.ts';

/** A whole pointer record, a page of 16 links, or two signed votes: far below one frame. */
const maxEvidenceBytes = 64 * 1024 + 512;

const afterMs = intBetween(0, 600_000);
const withCredit = record({ afterMs, credit: intBetween(1, 1024) });
const withoutCredit = record({ afterMs });
/** `credit`: concurrent requests the node will accept from this peer after the delay. */
const busy: Shape<{ readonly afterMs: number; readonly credit?: number }> = either(
  withCredit,
  withoutCredit,
);

export const refusalShape = union({
  malformed: record({ what: textUpTo(120) }),
  tooLarge: record({ maxBytes: intBetween(0, 2 ** 32) }),
  unsupportedVersion: record({ ours: intBetween(0, 255), theirs: intBetween(0, 255) }),
  wrongNetwork: record({}),
  redirect: record({ proof: bytesUpTo(maxEvidenceBytes) }),
  retry: record({ proof: bytesUpTo(maxEvidenceBytes) }),
  busy,
  full: record({}),
  notFound: record({}),
  conflict: record({ evidence: bytesUpTo(maxEvidenceBytes) }),
  spent: record({ certificate: bytesUpTo(maxEvidenceBytes) }),
  sealed: record({ links: bytesUpTo(maxEvidenceBytes) }),
  notAllowed: record({ rule: textUpTo(120) }),
});

export type Refusal = ShapeOf<typeof refusalShape>;
