/**
 * Goal: an elder that receives an unknown key asks that section once, and accepts only proven answers; a
 * paying client of this process gets its sections the same way.
 */
import { expect, test } from 'vitest';
import { EMPTY_PREFIX, parsePrefix } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import { err, ok } from '#core/result.ts';
import { createPaymentFollower } from '#node/money/payment-follower.ts';
import { createSectionUpdates } from '#node/section/section-updates.ts';
import {
  createTree,
  encodeAddressRecord,
  learn,
  authorityAt,
  signAddressRecord,
  treeWith,
  type SectionTree,
} from '#protocol/section/index.ts';
import { performSectionNodeJob } from '#roles/section-node/jobs.ts';
import { decodeIncomingRequest, encodeClientReply } from '#roles/wire/client.ts';
import { proofFor, type RoutingView } from '#roles/wire/routed.ts';
import type { JobPool } from '#runtime/jobs/job-pool.ts';
import { paymentSectionAt as paysAt } from '#safe/payment/index.ts';
import { toySuite } from '../../../sim/toys/toy-suite.ts';
import {
  both,
  genesis,
  nameUnder,
  only,
  sign,
  succeed,
  type TestSection,
} from '../../section/network.ts';

const firstState = genesis('news', 4);
const [zero, one] = both(succeed(firstState, 'n zero', 'n one').children);
const later = only(succeed(one, 'n one later').children);
const inOne = nameUnder(parsePrefix('1') ?? EMPTY_PREFIX, 'slot');
const treeOf = (...known: readonly TestSection[]): SectionTree =>
  known.reduce((tree, each) => {
    const next = treeWith(tree, sign(each));
    if (!next.ok) throw new Error('a fork');
    return next.value;
  }, createTree(firstState.anchor));

const jobs = {
  run: async (_kind: string, job: never) =>
    performSectionNodeJob(job, { threshold: toySuite } as never) as never,
} as unknown as Pick<JobPool, 'run'>;

/** Names of an elder of `later`, and of a node outside it. */
const records = [later.state.authority.elders[2]?.name, nameUnder(EMPTY_PREFIX, 'stranger')].map(
  (name) =>
    encodeAddressRecord({
      ...signAddressRecord(new Uint8Array(32).fill(7), firstState.anchor.networkId, 1n, [
        '/ip4/127.0.0.1',
      ]),
      name: toXorName(name ?? new Uint8Array(32)),
    }),
);

/** Elders with the knowledge of `view`; the first `unresponsiveNode` requests get no answer. */
function elders(view: RoutingView, silent = 0) {
  const asked: string[] = [];
  const request = async (elder: Uint8Array, bytes: Uint8Array) => {
    asked.push(toHex(elder));
    const cover = decodeIncomingRequest(bytes);
    if (asked.length <= silent || !cover.ok || cover.value.kind !== 'section') return err('away');
    const { proof } = proofFor(view, cover.value.name, cover.value.from);
    return ok(encodeClientReply({ kind: 'proof', proof, records }));
  };
  return { asked, request };
}

test('N34: the elders of the known section prove the current key', async () => {
  let tree = treeOf(zero, one);
  const { asked, request } = elders({ tree: treeOf(later), own: sign(later, 0) }, 1);
  const offered: Uint8Array[] = [];
  let now = 0;
  const seek = createSectionUpdates({
    tree: () => tree,
    request,
    jobs,
    records: (list) => void offered.push(...list),
    onUpdate: (update) => {
      ({ tree } = learn(tree, update));
    },
    now: () => now,
  });
  await seek(inOne);
  const { prefix, key } = later.state.authority;
  expect(equalBytes(authorityAt(tree, prefix)?.authority.key ?? prefix.bits, key)).toBe(true);
  expect(offered).toEqual(records.slice(0, 1));
  // The unresponsive one was skipped, and another elder got the second request.
  expect(new Set(asked).size).toBe(2);

  // A flood of the same request causes one look-up.
  const before = asked.length;
  for (let n = 0; n < 5; n++) await seek(inOne);
  const once = asked.length - before;
  now += 10_000;
  await seek(inOne);
  expect(asked.length - before).toBe(2 * once);
});

test('N33: an unproven answer is not accepted', async () => {
  let tree = treeOf(zero, one);
  const stranger = only(succeed(genesis('other news', 4), 'o1').children);
  const { request } = elders({ tree: treeOf(later), own: sign(stranger, 0) });
  const seek = createSectionUpdates({
    ...{ tree: () => tree, request, jobs, records: () => undefined },
    onUpdate: (update) => {
      ({ tree } = learn(tree, update));
    },
  });
  const before = tree;
  await seek(nameUnder(stranger.state.authority.prefix, 'x'));
  expect(authorityAt(tree, EMPTY_PREFIX)).toBe(authorityAt(before, EMPTY_PREFIX));
});

test('a client that starts with the first section pays in both halves of its split', async () => {
  const { request } = elders({ tree: treeOf(zero, one), own: sign(one, 0) });
  const follower = createPaymentFollower({
    ...{
      anchor: firstState.anchor,
      signed: sign(firstState),
      request,
      jobs,
      records: () => undefined,
    },
  });
  expect(follower.sections().current).toHaveLength(1);
  const sections = await follower.lookUpSections(inOne);
  expect(toHex(paysAt(sections, inOne)?.key ?? inOne)).toBe(toHex(one.state.authority.key));
  expect(sections.superseded).toHaveLength(1);
  expect(paysAt(sections, inOne)?.elders).toHaveLength(7);
});
