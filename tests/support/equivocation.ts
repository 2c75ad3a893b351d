import { equalBytes } from '#core/codec/bytes.ts';
import type { AgreementScope, Equivocation } from '#protocol/agreement/index.ts';
import { verifyBody } from '#protocol/agreement/statements.ts';

/** N5: proves to any node that this elder signed two statements for one position. */
export const verifyEquivocation = (scope: AgreementScope, evidence: Equivocation): boolean =>
  !equalBytes(evidence.first.body, evidence.second.body) &&
  [evidence.first, evidence.second].every(({ body, signature }) =>
    verifyBody(scope, evidence.round, evidence.phase, evidence.voter, body, signature),
  );
