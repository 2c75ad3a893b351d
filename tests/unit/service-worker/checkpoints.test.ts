/**
 * Goal: the app ships only what two nodes proved, and refuses a malformed file as a whole (N33). Method:
 * the tool's own function over a made-up status, read back by the app's reader.
 */
import { expect, test } from 'vitest';
import { toHex } from '#core/codec/bytes.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import { sectionProofOf } from '#protocol/section/index.ts';
import { checkpointsFor } from '../../../src/service-worker/checkpoints.ts';
import shipped from '../../../src/service-worker/checkpoints.json' with { type: 'json' };
import { toyScalars, toySuite } from '../../sim/toys/toy-suite.ts';
import { makeSection } from '../section/fixtures.ts';

// A program for Node 20 in plain JavaScript: its types are declared here.
const tool = new URL('../../../bin/lib/checkpoints.js', import.meta.url).href;
const { withNetwork } = (await import(/* @vite-ignore */ tool)) as {
  readonly withNetwork: (checkpoints: unknown, status: unknown) => unknown;
};

const { signed, anchor } = makeSection(toySuite, toyScalars);
const networkId = toHex(anchor.networkId);
const proof = toHex(encodeProof(sectionProofOf(signed)));
const section = { prefix: '()', epoch: 0, verified: true, agreedMembers: 2, proofs: [proof] };
const status = { network: { name: 'test', networkId }, sections: [section] };
const empty = { format: 1, networks: [] };

test('the file in this checkout is readable', () => {
  expect(() => checkpointsFor(networkId, shipped)).not.toThrow();
});

test('N33: the app pins what the tool writes; other networks stay', () => {
  const other = { networkId: 'f'.repeat(64), proofs: [] };
  const file = withNetwork({ format: 1, networks: [other] }, status);
  expect(checkpointsFor(networkId, file)).toEqual([sectionProofOf(signed)]);
  expect(checkpointsFor('f'.repeat(64), file)).toEqual([]);
  // Written again it replaces its own entry.
  expect(withNetwork(file, status)).toEqual(file);
});

test('N33: a section that is unproven, or reported by only one member, is not shipped', () => {
  const given = (part: object) => () =>
    withNetwork(empty, { ...status, sections: [section, { ...section, ...part }] });
  expect(given({ verified: false })).toThrow(/does not follow from the first key/);
  expect(given({ agreedMembers: 1 })).toThrow(/by fewer than two of its members/);
  expect(given({ agreedMembers: undefined })).toThrow(/by fewer than two of its members/);
  expect(() => withNetwork(empty, { ...status, sections: [] })).toThrow(/No section was told/);
});

test.each([
  ['no object', null],
  ['another format', { format: 2, networks: [] }],
  ['a field too many', { format: 1, networks: [], more: 1 }],
  ['no list', { format: 1, networks: {} }],
  ['too many networks', { format: 1, networks: Array(17).fill({ networkId, proofs: [] }) }],
  [
    'one network twice',
    {
      format: 1,
      networks: [
        { networkId, proofs: [] },
        { networkId, proofs: [] },
      ],
    },
  ],
  ['a short network id', { format: 1, networks: [{ networkId: 'ab', proofs: [] }] }],
  ['a proof that is no hex', { format: 1, networks: [{ networkId, proofs: ['xyz'] }] }],
  ['a proof cut short', { format: 1, networks: [{ networkId, proofs: [proof.slice(0, -2)] }] }],
  ['a proof with more behind', { format: 1, networks: [{ networkId, proofs: [`${proof}00`] }] }],
  ['too many proofs', { format: 1, networks: [{ networkId, proofs: Array(17).fill(proof) }] }],
])('%s is refused', (_, file) => {
  expect(() => checkpointsFor(networkId, file)).toThrow(/not of its form/);
});

test('the tool writes nothing that the app would refuse', () => {
  const page = '00';
  const long = {
    ...status,
    sections: [{ ...section, proofs: Array.from({ length: 17 }, () => page) }],
  };
  expect(() => withNetwork(empty, long)).toThrow(/17 pages, and the app takes 16/);
  const networks = Array.from({ length: 16 }, (_, n) => ({ networkId: String(n), proofs: [] }));
  expect(() => withNetwork({ format: 1, networks }, status)).toThrow(/the app takes 16 in all/);
});
