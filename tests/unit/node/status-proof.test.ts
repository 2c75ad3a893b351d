/**
 * Goal: `safe network status` calls a section verified when its state follows from the network's first
 * key, however many handovers lie between, and what it tells can be shipped with the app (N33).
 * Method: nodes of a toy network that answer as the product does, and one that cannot prove its words.
 */
import { expect, test, vi } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { decodeProof, encodeProof, type Known } from '#protocol/anti-entropy/index.ts';
import type { SectionProof } from '#protocol/section/index.ts';
import { follow, openPins, pin, verifiedEpoch } from '#roles/light-client/pins.ts';
import { proofFor } from '#roles/wire/under.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import { keyOf, knowing, lineFrom } from '../anti-entropy/support.ts';
import { genesis, sign, type Living } from '../section/network.ts';

vi.mock('#crypto/threshold-suite.ts', () => ({ blsSuite: toySuite }));
const { proveState } = await import('#node/status-proof.ts');

const born = genesis('status', 4);
const { anchor } = born;
const line = lineFrom(born, 40, 's');

/** As nodes do: with the state the whole way if it fits, else the newest link. */
const toldBy = (living: Living) =>
  sign(living, living.chain.length <= 16 ? living.chain.length : 1);

function node(living: Living) {
  const view: Known = { tree: knowing(anchor, living), own: sign(living, 0) };
  const asked: string[] = [];
  const ask = async (from: Uint8Array): Promise<SectionProof | null> => {
    asked.push(toHex(from));
    const page = decodeProof(proofFor(view, living.state.authority.prefix.bits, from).proof);
    return page.ok ? page.value : null;
  };
  return { told: toldBy(living), ask, asked };
}

test('after sixteen handovers what is told is verified without a question', async () => {
  const { told, ask, asked } = node(line[16] ?? born);
  expect(await proveState(anchor, told, ask)).toMatchObject({ verified: true });
  expect(asked).toEqual([]);
});

test('N33: after forty handovers the way is read, and an app that ships it knows the newest key', async () => {
  const last = line[40] ?? born;
  const { told, ask, asked } = node(last);
  const { authority, verified, proofs } = await proveState(anchor, told, ask);
  expect([verified, toHex(authority.key)]).toEqual([true, toHex(keyOf(last))]);
  expect(asked).toHaveLength(3);
  let pins = openPins(anchor);
  for (const proof of proofs) {
    const shipped = decodeProof(encodeProof(proof));
    const plan = shipped.ok ? follow(pins, shipped.value) : undefined;
    if (plan?.kind !== 'verify') throw new Error('a page that leads on');
    ({ pins } = pin(pins, { kind: 'verifiedUpdate', proof: plan.job.proof }));
  }
  expect(verifiedEpoch(pins)).toBe(40n);
});

test('a state without a way, or of another network, is told and not verified', async () => {
  const last = line[40] ?? born;
  const silent = await proveState(anchor, toldBy(last), async () => null);
  expect(silent).toEqual({ authority: last.state.authority, verified: false, proofs: [] });
  const stranger = genesis('elsewhere', 4);
  const { told, ask } = node(lineFrom(stranger, 20, 'e')[20] ?? stranger);
  expect(await proveState(anchor, told, ask)).toMatchObject({ verified: false, proofs: [] });
});
