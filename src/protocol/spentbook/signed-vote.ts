/**
 * An elder's vote, signed with its own key: evidence of a conflict, and of an elder that voted
 * twice.
 */
import { Writer } from '#core/codec/bytes.ts';
import {
  spendStatementBytes,
  type SpendStatement,
  type SpendStatementScope,
} from '#money/spend-certificate.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { decodeTransaction, inputAt } from '#money/transaction.ts';
import { assert } from '#core/assert.ts';
import type { SignedPrepareVote } from './messages.ts';
import type { SpentbookConfig, SignedSpend } from './state.ts';

/** The signed bytes: the statement that the share signs, under a separate label. */
export const prepareVoteBytes = (
  section: SpendStatementScope,
  statement: SpendStatement,
): Uint8Array =>
  new Writer()
    .label('safe/v1/spentbook/vote')
    .sized(spendStatementBytes(section, statement))
    .finish();

export function signPrepareVote(config: SpentbookConfig, spend: SignedSpend): SignedPrepareVote {
  const { ballot, txid } = spend;
  const decoded = decodeTransaction(spend.transaction);
  assert(decoded.ok, 'a written transaction was verified');
  const input = inputAt(decoded.value, spend.slot);
  assert(input !== undefined, 'a written transaction spends the slot');
  const bytes = prepareVoteBytes(config.section, { keyImage: input.keyImage, ballot, txid });
  const signature = config.identity.sign(config.identitySeed, bytes);
  return { elder: config.name, ballot, txid, signature };
}

export const verifyPrepareVote = (
  section: SpendStatementScope,
  identity: IdentitySuite,
  keyImage: Uint8Array,
  vote: SignedPrepareVote,
): boolean =>
  identity.verify(
    vote.elder,
    prepareVoteBytes(section, { keyImage, ballot: vote.ballot, txid: vote.txid }),
    vote.signature,
  );
