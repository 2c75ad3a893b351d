/** Goal: what the first version kept on a device is read by every later one, and is worth as much (N33). */
import { expect, test } from 'vitest';
import { Writer } from '#core/codec/bytes.ts';
import { encodeProof } from '#protocol/anti-entropy/index.ts';
import {
  emptyTree,
  learn,
  proofOf,
  storedUpdate,
  type SectionProof,
  type SectionTree,
  type SignedSuccessor,
} from '#protocol/section/index.ts';
import { decodePins, encodePins } from '#roles/light-client/pins.ts';
import { genesis, only, sign, succeed, type Living } from '../section/network.ts';

const born = genesis('pins', 2);
let now: Living = born;
for (let n = 0; n < 20; n++) now = only(succeed(now, `p${n}`).children);
const alone = (link: SignedSuccessor): SectionProof => ({ links: [link], authority: null });
const whole: SectionTree = [...now.chain.map(alone), proofOf(sign(now, 0))].reduce(
  (tree, proof) => learn(tree, storedUpdate(proof)).tree,
  emptyTree(born.anchor),
);

/** As version 0.1 wrote it: each link, each authority, the two links of a fork. */
function firstVersion(fork: readonly SignedSuccessor[] = []): Uint8Array {
  const proofs = [...now.chain.map(alone), proofOf(sign(now, 0))];
  const writer = new Writer().u8(1).u32(proofs.length);
  for (const proof of proofs) writer.sized(encodeProof(proof));
  writer.u8(fork.length);
  for (const link of fork) writer.sized(encodeProof(alone(link)));
  return writer.finish();
}

test('pins of the first version are read whole, and written as those of this one', () => {
  const read = decodePins(firstVersion(), born.anchor);
  expect(read?.tree).toEqual(whole);
  expect(read?.fork).toBeNull();
  const again = decodePins(
    encodePins(read ?? { tree: emptyTree(born.anchor), fork: null }),
    born.anchor,
  );
  expect(again?.tree).toEqual(whole);
});

test('a fork that the first version had seen is not forgotten', () => {
  const { link: first } = succeed(now, 'first');
  const { link: second } = succeed(now, 'second');
  const read = decodePins(firstVersion([first, second]), born.anchor);
  expect(read?.fork).toEqual({ first, second });
  expect(decodePins(encodePins(read ?? { tree: whole, fork: null }), born.anchor)?.fork).toEqual({
    first,
    second,
  });
});

test('bytes of a later version, or cut short, are no pins', () => {
  const bytes = firstVersion();
  expect(decodePins(Uint8Array.of(3, ...bytes.slice(1)), born.anchor)).toBeUndefined();
  expect(decodePins(bytes.slice(0, -1), born.anchor)).toBeUndefined();
});
