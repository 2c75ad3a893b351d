/**
 * Goal: an elder that is shown a key it does not know asks in that section, once, and believes only
 * what is proven; a paying client of this process gets its sections the same way.
 */
import { expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok } from '#core/result.ts';
import { createPaymentFollower } from '#node/handover-money-follow.ts';
import { createSectionNews } from '#node/handover-money-news.ts';
import {
  emptyTree,
  encodeAddressRecord,
  learn,
  sectionAt,
  signAddressRecord,
  treeWith,
  type SectionTree,
} from '#protocol/section/index.ts';
import { performSectionNodeJob } from '#roles/section-node/jobs.ts';
import { decodeDoorRequest, encodeClientReply } from '#roles/wire/client.ts';
import { proofFor, type UnderView } from '#roles/wire/under.ts';
import type { JobPool } from '#runtime/jobs/pool-node.ts';
import { sectionAt as paysAt } from '#safe/payment/index.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import { both, genesis, nameUnder, only, sign, succeed, type Living } from '../section/network.ts';

const born = genesis('news', 4);
const [zero, one] = both(succeed(born, 'n zero', 'n one').children);
const later = only(succeed(one, 'n one later').children);
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'slot');
const treeOf = (...known: readonly Living[]): SectionTree =>
  known.reduce((tree, each) => {
    const next = treeWith(tree, sign(each));
    if (!next.ok) throw new Error('a fork');
    return next.value;
  }, emptyTree(born.anchor));

const jobs = {
  run: async (_kind: string, job: never) =>
    performSectionNodeJob(job, { threshold: toySuite } as never) as never,
} as unknown as Pick<JobPool, 'run'>;

/** Of an elder of `later`, and of somebody it says nothing about. */
const records = [later.state.authority.elders[2]?.name, nameUnder(EMPTY_PREFIX, 'stranger')].map(
  (name) =>
    encodeAddressRecord({
      ...signAddressRecord(new Uint8Array(32).fill(7), born.anchor.networkId, 1n, [
        '/ip4/127.0.0.1',
      ]),
      name: toXorName(name ?? new Uint8Array(32)),
    }),
);

/** Elders that know what `view` holds; the first `silent` questions stay without an answer. */
function elders(view: UnderView, silent = 0) {
  const asked: string[] = [];
  const request = async (elder: Uint8Array, bytes: Uint8Array) => {
    asked.push(toHex(elder));
    const cover = decodeDoorRequest(bytes);
    if (asked.length <= silent || !cover.ok || cover.value.kind !== 'section') return err('away');
    const { proof } = proofFor(view, cover.value.name, cover.value.from);
    return ok(encodeClientReply({ kind: 'proof', proof, records }));
  };
  return { asked, request };
}

test('N34: the elders of the section that is known there prove who speaks now', async () => {
  let tree = treeOf(zero, one);
  const { asked, request } = elders({ tree: treeOf(later), own: sign(later, 0) }, 1);
  const offered: Uint8Array[] = [];
  let now = 0;
  const seek = createSectionNews({
    tree: () => tree,
    request,
    jobs,
    records: (list) => void offered.push(...list),
    learned: (update) => {
      ({ tree } = learn(tree, update));
    },
    now: () => now,
  });
  await seek(inOne);
  const { prefix, key } = later.state.authority;
  expect(equalBytes(sectionAt(tree, prefix)?.authority.key ?? prefix.bits, key)).toBe(true);
  expect(offered).toEqual(records.slice(0, 1));
  // The silent one was passed over, and the second question went to somebody else.
  expect(new Set(asked).size).toBe(2);

  // A flood of the same question is one question.
  const before = asked.length;
  for (let n = 0; n < 5; n++) await seek(inOne);
  const once = asked.length - before;
  now += 10_000;
  await seek(inOne);
  expect(asked.length - before).toBe(2 * once);
});

test('N33: what is not proven is not believed', async () => {
  let tree = treeOf(zero, one);
  const stranger = only(succeed(genesis('other news', 4), 'o1').children);
  const { request } = elders({ tree: treeOf(later), own: sign(stranger, 0) });
  const seek = createSectionNews({
    ...{ tree: () => tree, request, jobs, records: () => undefined },
    learned: (update) => {
      ({ tree } = learn(tree, update));
    },
  });
  const before = tree;
  await seek(nameUnder(stranger.state.authority.prefix, 'x'));
  expect(sectionAt(tree, EMPTY_PREFIX)).toBe(sectionAt(before, EMPTY_PREFIX));
});

test('a client that begins with the first section pays in both halves of its split', async () => {
  const { request } = elders({ tree: treeOf(zero, one), own: sign(one, 0) });
  const follower = createPaymentFollower({
    ...{ anchor: born.anchor, signed: sign(born), request, jobs, records: () => undefined },
  });
  expect(follower.sections().current).toHaveLength(1);
  const sections = await follower.news(inOne);
  expect(toHex(paysAt(sections, inOne)?.key ?? inOne)).toBe(toHex(one.state.authority.key));
  expect(sections.superseded).toHaveLength(1);
  expect(paysAt(sections, inOne)?.elders).toHaveLength(7);
});
