/**
 * Goal: `safe network status` speaks of the network that the folder belongs to, whatever a join point
 * tells, and does not take two names of one stranger for two members (N33).
 * Method: a join point on a real port; answers made by hand.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createNodeHost, type NodeHost } from '#network/node-host.ts';
import { lobbyTag } from '#network/protocols.ts';
import { answerLobby } from '#node/lobby.ts';
import { publicKeyOf } from '#node/native-ed25519.ts';
import { makeNetworkFile } from '#node/network-file.ts';
import { readStatus, sectionsIn, type Answer } from '#node/network-status.ts';
import { takePort } from '#node/ports.ts';
import { genesis, only, succeed, type Living } from '../section/network.ts';

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

/** @returns the address of a node that tells this network to whoever asks */
async function joinPoint(network: string): Promise<string> {
  const host = await createNodeHost({
    ...{ identitySeed: new Uint8Array(32).fill(7), role: 'adult', bootstrap: { tcpAddress: null } },
    ...{ tcpPort: await takePort(new Set()), wsPort: null, rtcDirectPort: null },
  });
  hosts.push(host);
  await host.serve('section', lobbyTag, async (bytes) =>
    answerLobby(bytes, { network: () => ({ file: fileOf(network), records: [] }) }),
  );
  return host.addresses()[0] ?? '';
}
const ask = (data: string | null, at: string | null) =>
  readStatus({ kind: 'status', json: true, data, join: at });

test('a join point that tells another network than the folder belongs to is refused', async () => {
  writeFileSync(join(folder, 'network.json'), JSON.stringify(fileOf('mine')));
  const at = await joinPoint('theirs');
  await expect(ask(folder, at)).rejects.toThrow(
    /tells another network than the one of this folder/,
  );
  // The same when the folder itself remembers that join point.
  writeFileSync(join(folder, 'join'), `${at}\n`);
  await expect(ask(folder, null)).rejects.toThrow(/tells another network/);
});

test('a join point of the same network is asked, and who asks without a folder hears of any', async () => {
  writeFileSync(join(folder, 'network.json'), JSON.stringify(fileOf('mine')));
  const at = await joinPoint('mine');
  // It names no nodes: two answers are wanted.
  await expect(ask(folder, at)).rejects.toThrow(/Fewer than 2 nodes/);
  await expect(ask(null, at)).rejects.toThrow(/Fewer than 2 nodes/);
});

const born = genesis('status', 4);
const later = only(succeed(born, 'later').children);
const answer = (name: Uint8Array, { state }: Living): Answer => ({
  ...{ name, role: 'elder', authority: state.authority, verified: true, proofs: [] },
});
const strangers = [1, 2, 3].map((n) => publicKeyOf(new Uint8Array(32).fill(n)));

test('strangers that show a genuine state of long ago are no members that tell it', () => {
  const [section] = sectionsIn(strangers.map((name) => answer(name, born)));
  expect(section).toMatchObject({ verified: true, agreed: 3, agreedMembers: 0 });
});

test('members of a state that tell it count once each, beside whoever else tells it', () => {
  const [one, two] = later.state.authority.members.map(({ name }) => name);
  if (one === undefined || two === undefined) throw new Error('members');
  const told = [answer(one, later), answer(one, later), answer(strangers[0] ?? one, later)];
  expect(sectionsIn(told)[0]).toMatchObject({ agreed: 3, agreedMembers: 1 });
  expect(sectionsIn([...told, answer(two, later)])[0]).toMatchObject({ agreedMembers: 2 });
});
