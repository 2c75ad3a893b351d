/** Goal: pins stored by the first version are read by every later one, with the same trust (N33). */
import { expect, test } from 'vitest';
import { Writer } from '#core/codec/bytes.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  createTree,
  learn,
  sectionProofOf,
  trustedUpdate,
  type SectionProof,
  type SectionTree,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import { decodeTrustStore, encodeTrustStore } from '#roles/light-client/stored-sections.ts';
import { genesis, only, sign, succeed, type TestSection } from '../../section/network.ts';

const born = genesis('pins', 2);
let now: TestSection = born;
for (let n = 0; n < 20; n++) now = only(succeed(now, `p${n}`).children);
const proofOfLink = (link: SignedSuccessor): SectionProof => ({ links: [link], authority: null });
const whole: SectionTree = [...now.chain.map(proofOfLink), sectionProofOf(sign(now, 0))].reduce(
  (tree, proof) => learn(tree, trustedUpdate(proof)).tree,
  createTree(born.anchor),
);

/** The format of version 0.1: all links, all authorities, the two links of a fork. */
function firstVersion(fork: readonly SignedSuccessor[] = []): Uint8Array {
  const proofs = [...now.chain.map(proofOfLink), sectionProofOf(sign(now, 0))];
  const writer = new Writer().u8(1).u32(proofs.length);
  for (const proof of proofs) writer.sized(encodeProof(proof));
  writer.u8(fork.length);
  for (const link of fork) writer.sized(encodeProof(proofOfLink(link)));
  return writer.finish();
}

test('pins of the first version are read completely, and written in the current format', () => {
  const read = decodeTrustStore(firstVersion(), born.anchor);
  expect(read?.tree).toEqual(whole);
  expect(read?.fork).toBeNull();
  const again = decodeTrustStore(
    encodeTrustStore(read ?? { tree: createTree(born.anchor), fork: null }),
    born.anchor,
  );
  expect(again?.tree).toEqual(whole);
});

test('a fork stored by the first version is kept', () => {
  const { link: first } = succeed(now, 'first');
  const { link: second } = succeed(now, 'second');
  const read = decodeTrustStore(firstVersion([first, second]), born.anchor);
  expect(read?.fork).toEqual({ first, second });
  expect(
    decodeTrustStore(encodeTrustStore(read ?? { tree: whole, fork: null }), born.anchor)?.fork,
  ).toEqual({
    first,
    second,
  });
});

test('bytes of a later version, or cut short, are no pins', () => {
  const bytes = firstVersion();
  expect(decodeTrustStore(Uint8Array.of(3, ...bytes.slice(1)), born.anchor)).toBeUndefined();
  expect(decodeTrustStore(bytes.slice(0, -1), born.anchor)).toBeUndefined();
});
