/** An elder's vote in its own name: the evidence of a conflict, and of an elder that voted twice. */
import { Writer } from '#core/codec/bytes.ts';
import { statementBytes, type Statement, type StatementSection } from '#money/certificate.ts';
import type { IdentitySuite } from '#money/identity.ts';
import { decodeTransaction, inputAt } from '#money/transaction.ts';
import { assert } from '#core/assert.ts';
import type { SignedVote } from './messages.ts';
import type { SpentbookConfig, Written } from './state.ts';

/** The signed bytes: the statement of the share, under a label of its own. */
export const voteBytes = (section: StatementSection, statement: Statement): Uint8Array =>
  new Writer().label('safe/v1/spentbook/vote').sized(statementBytes(section, statement)).finish();

export function signVote(config: SpentbookConfig, written: Written): SignedVote {
  const { ballot, txid } = written;
  const decoded = decodeTransaction(written.transaction);
  assert(decoded.ok, 'a written transaction was verified');
  const input = inputAt(decoded.value, written.slot);
  assert(input !== undefined, 'a written transaction spends the slot');
  const bytes = voteBytes(config.section, { keyImage: input.keyImage, ballot, txid });
  const signature = config.identity.sign(config.identitySeed, bytes);
  return { elder: config.name, ballot, txid, signature };
}

export const verifyVote = (
  section: StatementSection,
  identity: IdentitySuite,
  keyImage: Uint8Array,
  vote: SignedVote,
): boolean =>
  identity.verify(
    vote.elder,
    voteBytes(section, { keyImage, ballot: vote.ballot, txid: vote.txid }),
    vote.signature,
  );
