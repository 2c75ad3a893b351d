/**
 * Goal: `safe network status` shows the folder's own network, whatever a join point reports, and does
 * not count two names of one unknown peer as two members (N33).
 * Method: a join point on a real port; handmade answers.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { lobbyTag } from '#network/protocols.ts';
import { answerLobby } from '#node/joining/lobby.ts';
import { publicKeyOf } from '#node/keys/native-ed25519.ts';
import { makeNetworkFile } from '#roles/wire/network-file.ts';
import { readStatus, sectionsIn, type NodeAnswer } from '#node/programs/network-status.ts';
import { findFreePort } from '#node/peers/listen-ports.ts';
import { genesis, only, succeed, type TestSection } from '../section/network.ts';

const fileOf = (name: string) => makeNetworkFile(name, new Uint8Array(96).fill(1), 1n);
let folder: string;
const hosts: NodeHost[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safe-status-'));
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  await Promise.all(hosts.splice(0).map((host) => host.stop()));
});

/** @returns the address of a node that reports this network to any client */
async function joinPoint(network: string): Promise<string> {
  const host = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(7), role: 'adult', bootstrap: { tcpAddress: null } },
    ...{ tcpPort: await findFreePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  hosts.push(host);
  await host.serve('section', lobbyTag, async (bytes) =>
    answerLobby(bytes, { network: () => ({ file: fileOf(network), records: [] }) }),
  );
  return host.addresses()[0] ?? '';
}
const ask = (data: string | null, at: string | null) =>
  readStatus({ kind: 'status', json: true, data, join: at });

test('a join point that reports another network than the folder’s is refused', async () => {
  writeFileSync(join(folder, 'network.json'), JSON.stringify(fileOf('mine')));
  const at = await joinPoint('theirs');
  await expect(ask(folder, at)).rejects.toThrow(
    /reports another network than the one of this folder/,
  );
  // The same when the folder has saved that join point.
  writeFileSync(join(folder, 'join'), `${at}\n`);
  await expect(ask(folder, null)).rejects.toThrow(/reports another network/);
});

test('a join point of the same network is asked, and without a folder any network is accepted', async () => {
  writeFileSync(join(folder, 'network.json'), JSON.stringify(fileOf('mine')));
  const at = await joinPoint('mine');
  // It names no nodes, and two answers are required.
  await expect(ask(folder, at)).rejects.toThrow(/Fewer than 2 nodes/);
  await expect(ask(null, at)).rejects.toThrow(/Fewer than 2 nodes/);
});

const firstState = genesis('status', 4);
const later = only(succeed(firstState, 'later').children);
const answer = (name: Uint8Array, { state }: TestSection): NodeAnswer => ({
  ...{ name, role: 'elder', authority: state.authority, verified: true, proofs: [] },
});
const nonMembers = [1, 2, 3].map((n) => publicKeyOf(new Uint8Array(32).fill(n)));

test('unknown nodes that show a genuine old state do not count as members that report it', () => {
  const [section] = sectionsIn(nonMembers.map((name) => answer(name, firstState)));
  expect(section).toMatchObject({ verified: true, agreed: 3, agreedMembers: 0 });
});

test('members of a state that report it count once each, besides all other nodes', () => {
  const [one, two] = later.state.authority.members.map(({ name }) => name);
  if (one === undefined || two === undefined) throw new Error('members');
  const told = [answer(one, later), answer(one, later), answer(nonMembers[0] ?? one, later)];
  expect(sectionsIn(told)[0]).toMatchObject({ agreed: 3, agreedMembers: 1 });
  expect(sectionsIn([...told, answer(two, later)])[0]).toMatchObject({ agreedMembers: 2 });
});
