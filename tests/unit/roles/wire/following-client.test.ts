/**
 * Goal: the client used in the test with real processes follows redirects as the light node does, and
 * counts the refusals that extended its map. Method: a toy network that hands over and splits, all bytes
 * through their codecs; every node knows all sections and answers for its own half.
 */
import { expect, test, vi } from 'vitest';
import { matches } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  createTree,
  encodeSignedAuthority,
  learn,
  sectionProofOf,
  trustedUpdate,
} from '#protocol/section/index.ts';
import {
  decodeIncomingRequest,
  encodeClientReply,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { openRouted, proofFor, type RoutingView } from '#roles/wire/routed.ts';
import type { AskAt } from '../../../e2e/support/client-host.ts';
import { toySuite } from '../../../sim/toys/toy-suite.ts';
import { both, genesis, only, sign, succeed, type TestSection } from '../../section/network.ts';

vi.mock('#crypto/threshold-suite.ts', () => ({ blsSuite: toySuite }));
const { beginFollowing } = await import('../../../network/support/following-client.ts');

const born = genesis('follow', 4);
const { anchor } = born;
const grown = only(succeed(born, 'f1').children);
const halves = both(succeed(grown, 'f zero', 'f one').children);

const treeOf = (sections: readonly TestSection[]) =>
  sections.reduce(
    (tree, living) => learn(tree, trustedUpdate(sectionProofOf(sign(living)))).tree,
    createTree(anchor),
  );

/** One chunk per half. */
const chunks = new Map<string, Uint8Array>();
const names = [0, 1].map((bit) => {
  for (let n = 0; ; n++) {
    const bytes = utf8(`chunk ${n}`);
    const name = sha256(bytes);
    if ((name[0] ?? 0) >> 7 !== bit) continue;
    chunks.set(toHex(name), bytes);
    return name;
  }
});

const answer = (view: RoutingView, request: ClientRequest): ClientReply => {
  const notFound = { kind: 'refused', refusal: { kind: 'notFound' } } as const;
  if (request.kind !== 'getChunk') return notFound;
  const bytes = chunks.get(toHex(request.name));
  const isOurs = matches(view.own.authority.prefix, toXorName(request.name));
  const holder = new Uint8Array(32);
  return bytes === undefined || !isOurs ? notFound : { kind: 'chunk', bytes, holder };
};

/** Makes these the current sections; each node answers for the one that covers its name. */
function living(...sections: readonly TestSection[]) {
  const tree = treeOf(sections);
  const asked = { under: 0, pages: 0 };
  const askAt: AskAt = async ({ name }, bytes) => {
    const at = sections.find(({ state }) => matches(state.authority.prefix, toXorName(name)));
    const request = decodeIncomingRequest(bytes);
    if (at === undefined || !request.ok) return { ok: false, error: { kind: 'unreachable' } };
    const view: RoutingView = { tree, own: sign(at, 0) };
    const { value } = request;
    let reply: ClientReply = { kind: 'refused', refusal: { kind: 'malformed', what: 'request' } };
    if (value.kind === 'section') {
      asked.pages += 1;
      reply = { kind: 'proof', proof: proofFor(view, value.name, value.from).proof, records: [] };
    } else if (value.kind === 'routed') {
      asked.under += 1;
      const opened = openRouted(view, value);
      reply = opened.ok ? answer(view, opened.value) : { kind: 'refused', refusal: opened.error };
    }
    return { ok: true, value: encodeClientReply(reply) };
  };
  return { asked, askAt };
}

/** The client keeps its connections throughout; the network behind them changes. */
async function begin() {
  let now = living(born);
  const trusted = { authority: encodeSignedAuthority(sign(born, 0)), records: [] };
  const client = await beginFollowing(anchor, trusted, (...of) => now.askAt(...of));
  const become = (...sections: readonly TestSection[]) => (now = living(...sections));
  return { client, become };
}

test('with an old map a client is redirected to both halves of a split, and not again', async () => {
  const { client, become } = await begin();
  expect(await Promise.all(names.map(client.get))).toEqual([...chunks.values()]);
  expect(client.map()).toEqual({ prefixes: ['()'], epoch: 0 });
  expect(client.redirects()).toEqual([]);

  become(...halves);
  for (const name of names) expect(await client.get(name)).toEqual(chunks.get(toHex(name)));
  // The successor record names both new keys, so the other half is asked directly under its own.
  expect(client.map()).toEqual({ prefixes: ['()', '0'], epoch: 2 });
  const led = client.redirects().length;
  expect(led).toBeGreaterThan(0);

  const { asked } = become(...halves);
  for (const name of names) expect(await client.get(name)).not.toBeNull();
  expect(asked).toEqual({ under: names.length, pages: 0 });
  expect(client.redirects()).toHaveLength(led);
});

test('refusals without a proof are not followed or counted', async () => {
  const { client, become } = await begin();
  const otherNetwork = genesis('stranger', 4);
  const forged = succeed({ ...born, secret: otherNetwork.secret }, 'forged');
  for (const { children } of [succeed(otherNetwork, 's1'), forged]) {
    const { asked } = become(only(children));
    expect(await client.get(names[0] ?? new Uint8Array(32))).toBeNull();
    expect(asked.under).toBeGreaterThan(0);
    expect(client.map()).toEqual({ prefixes: ['()'], epoch: 0 });
    expect(client.redirects()).toEqual([]);
  }
});

test('it starts with only what follows from the genesis key', async () => {
  const otherNetwork = genesis('stranger', 4);
  const trusted = { authority: encodeSignedAuthority(sign(otherNetwork, 0)), records: [] };
  await expect(beginFollowing(anchor, trusted, living(born).askAt)).rejects.toThrow('refused');
});
