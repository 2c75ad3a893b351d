/** Liars' messages while an epoch seals, and states that honest elders must not sign. */
import { matches } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import { sectionKeyHash } from '#money/spend-certificate.ts';
import type { IdentitySuite } from '#crypto/identity-suite.ts';
import { encodeTransaction, type Transaction } from '#money/transaction.ts';
import {
  decodeHandoverMessage,
  encodeHandoverMessage,
  type HandoverProgress,
  type SnapshotPage,
} from '#protocol/handover/index.ts';
import { snapshotBytes } from '#protocol/membership/index.ts';
import { encodeMintRequest, outputName } from '#protocol/mint/index.ts';
import type { SectionState } from '#protocol/section/index.ts';
import { seedOf } from '../../unit/money/fixtures.ts';
import type { Prng } from '../prng.ts';
import {
  type HandoverMoneyCurves,
  type SimIdentity,
  type DealtKey,
  certifyWithKey,
} from './handover-money-setup.ts';
import type {
  HandoverMoneyProtocol,
  HandoverMoneyConfig,
  HandoverMoneyMessage,
} from './handover-money-protocol.ts';
import type { Corrupt } from '../world.ts';

/**
 * The old key leaked long afterwards: a certificate whose spend is not under the sealed root (N34).
 */
export function forgery(
  curves: HandoverMoneyCurves,
  old: DealtKey,
  successors: readonly DealtKey[],
  forged: Transaction,
): HandoverMoneyConfig {
  const transaction = encodeTransaction(forged);
  const certificates = certifyWithKey(curves, old, 'COMMIT', forged);
  const messages: HandoverMoneyMessage[] = [];
  for (const [index, { oneTimeKey: key }] of forged.outputs.entries()) {
    for (const { charter } of successors) {
      if (!matches(charter.prefix, outputName(key))) continue;
      const message = encodeMintRequest({
        kind: 'register',
        request: seedOf('forgery').slice(0, 16),
        section: sectionKeyHash(charter.key),
        key,
        transaction,
        certificates,
        index,
      });
      messages.push({ kind: 'output', key, message });
    }
  }
  const to = successors.flatMap(({ charter }) => charter.elders.map(({ name }) => toHex(name)));
  return { kind: 'mallory', to, messages };
}
/** Sealed states that must not be signed: other keys, and the same keys over another root. */
export function otherKeys(sealed: SectionState, rivals: readonly DealtKey[]): SectionState {
  const { phase } = sealed.ledger;
  if (phase.kind !== 'sealed') throw new Error('sealed');
  const charters = rivals.map(({ charter }) => charter);
  const other = { ...phase, sessionId: seedOf('other session'), charters };
  return { ...sealed, ledger: { ...sealed.ledger, phase: other } };
}

export function otherRoot(sealed: SectionState): SectionState {
  const { phase } = sealed.ledger;
  if (phase.kind !== 'sealed') throw new Error('sealed');
  const other = { ...phase, sealedRoot: seedOf('other root') };
  return { ...sealed, ledger: { ...sealed.ledger, phase: other } };
}

/** Nothing, the page, or a list that ends early. */
function lieOfPage(page: SnapshotPage, prng: Prng): readonly HandoverMoneyMessage[] {
  if (prng.chance(0.5)) return [];
  const entries = page.entries.slice(0, -1);
  const shorter = { ...page, entries, count: page.start + entries.length };
  const message = encodeHandoverMessage(prng.chance(0.5) ? page : shorter);
  return [{ kind: 'handover', message }];
}

/**
 * Lies in handover messages: another root for some elders, a wrong share, a share over another
 * record.
 */
export function handoverMoneyAdversary(
  identity: IdentitySuite,
  me: SimIdentity,
  old: DealtKey,
  closing: SectionState,
  chance: Prng,
): Corrupt<HandoverMoneyProtocol> {
  const elder = old.charter.elders.find(({ name }) => toHex(name) === me.id);
  const favourite = chance.below(4);
  return (message, to, prng) => {
    if (message.kind !== 'handover' || elder === undefined) return [message];
    const decoded = decodeHandoverMessage(message.message);
    if (!decoded.ok) return [message];
    if (decoded.value.kind === 'page') return lieOfPage(decoded.value, prng);
    if (decoded.value.kind !== 'progress') return [message];
    const news = decoded.value;
    const sendToAll = (changed: Partial<HandoverProgress>): HandoverMoneyMessage => ({
      kind: 'handover',
      message: encodeHandoverMessage({ ...news, ...changed }),
    });
    if (favourite === 0) return prng.chance(0.6) ? [] : [message];
    if (favourite === 1 && news.roots.length > 0 && to.charCodeAt(0) % 2 === 0) {
      const root = seedOf('two roots');
      const bytes = snapshotBytes(closing, elder.index, root);
      const signature = identity.sign(me.seed, bytes);
      return [sendToAll({ roots: [{ elder: elder.index, root, signature }] })];
    }
    if (news.share !== null && favourite === 2) {
      return [sendToAll({ share: { ...news.share, signature: new Uint8Array(48).fill(9) } })];
    }
    if (news.share !== null && favourite === 3) {
      return [sendToAll({ share: { ...news.share, record: seedOf('other record') } })];
    }
    return [message];
  };
}
