/**
 * Goal: `safe network status` calls a section verified when its state verifies under the genesis key,
 * after any number of handovers, and its proof can be shipped with the app (N33).
 * Method: nodes of a toy network that answer as the product does, and one without a proof.
 */
import { expect, test, vi } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { decodeProof, encodeProof, type SectionKnowledge } from '#protocol/anti-entropy/index.ts';
import type { SectionProof } from '#protocol/section/index.ts';
import {
  planPin,
  openTrustStore,
  pin,
  verifiedEpoch,
} from '#roles/light-client/stored-sections.ts';
import { proofFor } from '#roles/wire/routed.ts';
import { toySuite } from '../../sim/toys/toy-suite.ts';
import { keyOf, knowing, lineFrom } from '../anti-entropy/support.ts';
import { genesis, sign, type TestSection } from '../section/network.ts';

vi.mock('#crypto/threshold-suite.ts', () => ({ blsSuite: toySuite }));
const { proveState } = await import('#node/programs/status-proof.ts');

const firstState = genesis('status', 4);
const { anchor } = firstState;
const line = lineFrom(firstState, 40, 's');

/** Like a node: the state with the whole key path if it fits, else with the newest link. */
const reportedBy = (living: TestSection) =>
  sign(living, living.chain.length <= 16 ? living.chain.length : 1);

function node(living: TestSection) {
  const view: SectionKnowledge = { tree: knowing(anchor, living), own: sign(living, 0) };
  const asked: string[] = [];
  const ask = async (from: Uint8Array): Promise<SectionProof | null> => {
    asked.push(toHex(from));
    const page = decodeProof(proofFor(view, living.state.authority.prefix.bits, from).proof);
    return page.ok ? page.value : null;
  };
  return { told: reportedBy(living), ask, asked };
}

test('after sixteen handovers the reported state is verified without a request', async () => {
  const { told, ask, asked } = node(line[16] ?? firstState);
  expect(await proveState(anchor, told, ask)).toMatchObject({ verified: true });
  expect(asked).toEqual([]);
});

test('N33: after forty handovers the key path is read, and an app shipped with it knows the newest key', async () => {
  const last = line[40] ?? firstState;
  const { told, ask, asked } = node(last);
  const { authority, verified, proofs } = await proveState(anchor, told, ask);
  expect([verified, toHex(authority.key)]).toEqual([true, toHex(keyOf(last))]);
  expect(asked).toHaveLength(3);
  let store = openTrustStore(anchor);
  for (const proof of proofs) {
    const shipped = decodeProof(encodeProof(proof));
    const plan = shipped.ok ? planPin(store, shipped.value) : undefined;
    if (plan?.kind !== 'verify') throw new Error('a page that leads on');
    ({ store } = pin(store, { kind: 'verifiedUpdate', proof: plan.job.proof }));
  }
  expect(verifiedEpoch(store)).toBe(40n);
});

test('a state without a key path, or of another network, is reported and not verified', async () => {
  const last = line[40] ?? firstState;
  const silent = await proveState(anchor, reportedBy(last), async () => null);
  expect(silent).toEqual({ authority: last.state.authority, verified: false, proofs: [] });
  const stranger = genesis('elsewhere', 4);
  const { told, ask } = node(lineFrom(stranger, 20, 'e')[20] ?? stranger);
  expect(await proveState(anchor, told, ask)).toMatchObject({ verified: false, proofs: [] });
});
