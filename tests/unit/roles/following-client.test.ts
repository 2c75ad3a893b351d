/**
 * Goal: the client that the split of real processes is tested with follows as the light node does,
 * and counts by which refusals its map grew. Method: a toy network that hands over and splits, all
 * bytes through their codecs; every node knows it all and answers for its own half.
 */
import { expect, test, vi } from 'vitest';
import { matches } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import { toHex, utf8 } from '#core/codec/bytes.ts';
import { sha256 } from '#crypto/hash.ts';
import {
  emptyTree,
  encodeSignedAuthority,
  learn,
  proofOf,
  storedUpdate,
} from '#protocol/section/index.ts';
import {
  decodeDoorRequest,
  encodeClientReply,
  type ClientReply,
  type ClientRequest,
} from '#roles/wire/client.ts';
import { openUnder, proofFor, type UnderView } from '#roles/wire/under.ts';
import type { AskAt } from '../../e2e/support/client-host.ts';
import { toySuite } from '../../sim/toy-suite.ts';
import { both, genesis, only, sign, succeed, type Living } from '../section/network.ts';

vi.mock('#crypto/threshold-suite.ts', () => ({ blsSuite: toySuite }));
const { beginFollowing } = await import('../../network/support/following-client.ts');

const born = genesis('follow', 4);
const { anchor } = born;
const grown = only(succeed(born, 'f1').children);
const halves = both(succeed(grown, 'f zero', 'f one').children);

const treeOf = (sections: readonly Living[]) =>
  sections.reduce(
    (tree, living) => learn(tree, storedUpdate(proofOf(sign(living)))).tree,
    emptyTree(anchor),
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

const answer = (view: UnderView, request: ClientRequest): ClientReply => {
  const notFound = { kind: 'refused', refusal: { kind: 'notFound' } } as const;
  if (request.kind !== 'getChunk') return notFound;
  const bytes = chunks.get(toHex(request.name));
  const isOurs = matches(view.own.authority.prefix, toXorName(request.name));
  const holder = new Uint8Array(32);
  return bytes === undefined || !isOurs ? notFound : { kind: 'chunk', bytes, holder };
};

/** These sections live now; whoever is asked is a node of the one that its name falls under. */
function living(...sections: readonly Living[]) {
  const tree = treeOf(sections);
  const asked = { under: 0, pages: 0 };
  const askAt: AskAt = async ({ name }, bytes) => {
    const at = sections.find(({ state }) => matches(state.authority.prefix, toXorName(name)));
    const request = decodeDoorRequest(bytes);
    if (at === undefined || !request.ok) return { ok: false, error: { kind: 'unreachable' } };
    const view: UnderView = { tree, own: sign(at, 0) };
    const { value } = request;
    let reply: ClientReply = { kind: 'refused', refusal: { kind: 'malformed', what: 'request' } };
    if (value.kind === 'section') {
      asked.pages += 1;
      reply = { kind: 'proof', proof: proofFor(view, value.name, value.from).proof, records: [] };
    } else if (value.kind === 'under') {
      asked.under += 1;
      const opened = openUnder(view, value);
      reply = opened.ok ? answer(view, opened.value) : { kind: 'refused', refusal: opened.error };
    }
    return { ok: true, value: encodeClientReply(reply) };
  };
  return { asked, askAt };
}

/** The client holds its connections for its whole life; the network behind them changes. */
async function begin() {
  let now = living(born);
  const told = { authority: encodeSignedAuthority(sign(born, 0)), records: [] };
  const client = await beginFollowing(anchor, told, (...of) => now.askAt(...of));
  const become = (...sections: readonly Living[]) => (now = living(...sections));
  return { client, become };
}

test('with the map of before a client is led to both halves of a split, and is led no more', async () => {
  const { client, become } = await begin();
  expect(await Promise.all(names.map(client.get))).toEqual([...chunks.values()]);
  expect(client.map()).toEqual({ prefixes: ['()'], epoch: 0 });
  expect(client.led()).toEqual([]);

  become(...halves);
  for (const name of names) expect(await client.get(name)).toEqual(chunks.get(toHex(name)));
  // The record that ends the key names both new ones: the other half is asked under its own at once.
  expect(client.map()).toEqual({ prefixes: ['()', '0'], epoch: 2 });
  const led = client.led().length;
  expect(led).toBeGreaterThan(0);

  const { asked } = become(...halves);
  for (const name of names) expect(await client.get(name)).not.toBeNull();
  expect(asked).toEqual({ under: names.length, pages: 0 });
  expect(client.led()).toHaveLength(led);
});

test('refusals that prove nothing lead nowhere, and are not counted', async () => {
  const { client, become } = await begin();
  const stranger = genesis('stranger', 4);
  const forged = succeed({ ...born, secret: stranger.secret }, 'forged');
  for (const { children } of [succeed(stranger, 's1'), forged]) {
    const { asked } = become(only(children));
    expect(await client.get(names[0] ?? new Uint8Array(32))).toBeNull();
    expect(asked.under).toBeGreaterThan(0);
    expect(client.map()).toEqual({ prefixes: ['()'], epoch: 0 });
    expect(client.led()).toEqual([]);
  }
});

test('it begins with nothing but what follows from the genesis key', async () => {
  const stranger = genesis('stranger', 4);
  const told = { authority: encodeSignedAuthority(sign(stranger, 0)), records: [] };
  await expect(beginFollowing(anchor, told, living(born).askAt)).rejects.toThrow('refused');
});
