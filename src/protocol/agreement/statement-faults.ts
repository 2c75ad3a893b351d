/** Decides whether a statement is sound: its structure, its signatures and the certificates it carries. */
import { equalBytes } from '#core/codec/bytes.ts';
import type { Prevote, QuorumCertificate, RoundChange, Statement } from './messages.ts';
import type { AgreementFault, OpenState } from './state.ts';
import {
  bodyOf,
  equalValues,
  isSorted,
  isValue,
  verifyQuorumCertificate,
  verifyStatement,
} from './statements.ts';
import type { StepBuilder } from './step-builder.ts';

/** Structure, signatures and, for a prevote, the value its round changes imply (N2). */
export function structuralFault(
  step: StepBuilder,
  statement: Statement,
): AgreementFault['kind'] | undefined {
  const { config } = step;
  if (!verifyStatement(config, statement)) return 'invalidSignature';
  switch (statement.kind) {
    case 'prevote':
      return prevoteFault(step, statement.prevote);
    case 'precommit':
      return isCertificateValid(step, statement.precommit.certificate)
        ? undefined
        : 'invalidCertificate';
    case 'roundChange':
      return roundChangeFault(step, statement.roundChange);
  }
}

function prevoteFault(
  step: StepBuilder,
  prevote: Prevote,
): 'invalidRoundChanges' | 'invalidValue' | undefined {
  const { rules, quorum, config } = step;
  if (!isValue(prevote.value)) return 'invalidValue';
  if (prevote.round === 0)
    return prevote.roundChanges.length === 0 ? undefined : 'invalidRoundChanges';
  const sound =
    prevote.roundChanges.length >= quorum &&
    isSorted(prevote.roundChanges) &&
    prevote.roundChanges.every(
      (roundChange) =>
        roundChange.round === prevote.round &&
        (isVerifiedRoundChange(step.state, roundChange) ||
          (verifyStatement(config, { kind: 'roundChange', roundChange }) &&
            roundChangeFault(step, roundChange) === undefined)),
    );
  if (!sound) return 'invalidRoundChanges';
  return equalValues(rules.valueOf(prevote.roundChanges), prevote.value)
    ? undefined
    : 'invalidValue';
}

function roundChangeFault(
  step: StepBuilder,
  roundChange: RoundChange,
): 'invalidRoundChanges' | undefined {
  const { highest, proposals, round } = roundChange;
  const sound =
    round > 0 &&
    isValue(proposals) &&
    // An elder that joined a round late may hold a lock of that same round.
    (highest === null || (highest.round <= round && isCertificateValid(step, highest)));
  return sound ? undefined : 'invalidRoundChanges';
}

/** Skips signature checks for the certificate already held. */
function isCertificateValid(step: StepBuilder, certificate: QuorumCertificate): boolean {
  const { rules, state, config, quorum } = step;
  if (!certificate.prevotes.every(({ voter }) => rules.mayCount(state, voter))) return false;
  const known = state.highest;
  if (known !== null && known.round === certificate.round) {
    if (samePrevotes(known, certificate)) return true;
  }
  return verifyQuorumCertificate(config, certificate, quorum);
}

const samePrevotes = (a: QuorumCertificate, b: QuorumCertificate): boolean =>
  equalValues(a.value, b.value) &&
  a.prevotes.length === b.prevotes.length &&
  a.prevotes.every((prevote, i) => {
    const other = b.prevotes[i];
    return (
      other?.voter === prevote.voter &&
      equalBytes(other.roundChangesDigest, prevote.roundChangesDigest) &&
      equalBytes(other.signature, prevote.signature)
    );
  });

/** Verified when it arrived alone. Its signature covers the lock's round and value. */
export const isVerifiedRoundChange = (state: OpenState, roundChange: RoundChange): boolean => {
  const held = state.roundChanges.get(roundChange.voter);
  return (
    held?.round === roundChange.round &&
    equalBytes(held.signature, roundChange.signature) &&
    equalBytes(
      bodyOf({ kind: 'roundChange', roundChange: held }),
      bodyOf({ kind: 'roundChange', roundChange }),
    )
  );
};
