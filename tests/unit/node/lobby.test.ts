/** Goal: seven founders receive the same invitation, and a founder can enlist only itself. */
import { expect, test } from 'vitest';
import { lobbyTag } from '#network/protocols.ts';
import type { NodeHost } from '#network/node-host.ts';
import { createAdmissionControl, maxPerOutsider } from '#node/requests/admission-control.ts';
import { answerLobby, createFounderQueue, serveLobby } from '#node/joining/lobby.ts';
import { createMetrics } from '#node/monitoring/metrics.ts';
import { publicKeyOf } from '#node/keys/native-ed25519.ts';
import { encodeAddressRecord, signAddressRecord } from '#protocol/section/index.ts';
import {
  decodeInvitation,
  decodeLobbyReply,
  decodeLobbyRequest,
  encodeInvitation,
  encodeLobbyReply,
  encodeLobbyRequest,
  lobbyId,
  type FounderEntry,
  type Invitation,
  type LobbyReply,
  type LobbyRequest,
} from '#roles/wire/lobby.ts';

const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const founder = (n: number, addresses = [`/ip4/127.0.0.1/tcp/${n}`]): FounderEntry => ({
  record: encodeAddressRecord(signAddressRecord(seed(n), lobbyId, 1n, addresses)),
  sharingKey: seed(100 + n),
});

const gathering = (saved: Invitation | null = null) => {
  const keptNow: Invitation[] = [];
  const made = createFounderQueue({
    saved,
    elders: 7,
    adults: 1,
    makeInvitation: (elders, adults) => ({
      networkName: 'test',
      nonce: new Uint8Array(32),
      elders,
      adults,
      genesisOutput: null,
    }),
    saveInvitation: (invitation) => keptNow.push(invitation),
    onFounder: () => undefined,
  });
  return { ...made, kept: keptNow };
};

const ask = async (
  at: ReturnType<typeof gathering>,
  request: LobbyRequest,
  from: Uint8Array,
): Promise<LobbyReply> => {
  const bytes = encodeLobbyRequest(request);
  const answers = { network: () => null, enlist: at.enlist };
  const reply = decodeLobbyReply(await answerLobby(bytes, answers, from));
  if (!reply.ok) throw new Error('malformed');
  return reply.value;
};

test('founders wait for each other, then all receive one invitation, saved before it is sent', async () => {
  const lobby = gathering();
  for (let n = 1; n <= 7; n++) {
    const reply = await ask(lobby, { kind: 'enlist', ...founder(n) }, publicKeyOf(seed(n)));
    expect(reply).toEqual({ kind: 'waiting', enlisted: n, wanted: 8 });
    // Enlisting again changes nothing.
    await ask(lobby, { kind: 'enlist', ...founder(n) }, publicKeyOf(seed(n)));
  }
  expect(lobby.kept).toEqual([]);
  const last = await ask(lobby, { kind: 'enlist', ...founder(8) }, publicKeyOf(seed(8)));
  expect(lobby.kept).toHaveLength(1);
  const first = await ask(lobby, { kind: 'enlist', ...founder(1) }, publicKeyOf(seed(1)));
  expect(first).toEqual(last);
  if (first.kind !== 'founding') throw new Error(first.kind);
  const invitation = decodeInvitation(first.invitation);
  expect(invitation.ok && invitation.value.elders).toEqual(
    [1, 2, 3, 4, 5, 6, 7].map((n) => founder(n)),
  );
  expect(invitation.ok && invitation.value.adults).toEqual([founder(8)]);

  // After a restart of the join point the same invitation is sent.
  const again = gathering(lobby.kept[0]);
  expect(await ask(again, { kind: 'enlist', ...founder(3) }, publicKeyOf(seed(3)))).toEqual(first);
});

test('a founder enlists only itself, with an address others can dial', async () => {
  const lobby = gathering();
  const mallory = publicKeyOf(seed(66));
  const forAlice = await ask(lobby, { kind: 'enlist', ...founder(1) }, mallory);
  expect(forAlice).toMatchObject({ kind: 'refused', refusal: { rule: 'otherName' } });
  const nowhere = await ask(lobby, { kind: 'enlist', ...founder(1, []) }, publicKeyOf(seed(1)));
  expect(nowhere).toMatchObject({ kind: 'refused', refusal: { rule: 'noAddress' } });
  const born = await ask(lobby, { kind: 'keyReady', authority: new Uint8Array(9) }, mallory);
  expect(born).toMatchObject({ kind: 'refused', refusal: { rule: 'noFoundingHere' } });
});

test('every message of the lobby survives encoding, and an extra byte is malformed', () => {
  const requests: readonly LobbyRequest[] = [
    { kind: 'enlist', ...founder(1) },
    { kind: 'keyReady', authority: new Uint8Array(64 * 1024) },
    { kind: 'describe' },
  ];
  for (const request of requests) {
    expect(decodeLobbyRequest(encodeLobbyRequest(request))).toEqual({ ok: true, value: request });
  }
  const replies: readonly LobbyReply[] = [
    { kind: 'waiting', enlisted: 1, wanted: 7 },
    { kind: 'founding', invitation: new Uint8Array(384 * 1024) },
    { kind: 'network', file: 'x'.repeat(4096), records: [new Uint8Array(4096)] },
    { kind: 'counted', count: 7 },
    { kind: 'refused', refusal: { kind: 'busy', afterMs: 1 } },
  ];
  for (const reply of replies) {
    expect(decodeLobbyReply(encodeLobbyReply(reply))).toEqual({ ok: true, value: reply });
  }
  const large = encodeLobbyRequest({ kind: 'keyReady', authority: new Uint8Array(64 * 1024 + 1) });
  expect(decodeLobbyRequest(large).ok).toBe(false);
  const invitation: Invitation = {
    networkName: 'n',
    nonce: new Uint8Array(32),
    elders: [1, 2, 3, 4, 5, 6, 7].map((n) => founder(n)),
    adults: [],
    genesisOutput: { oneTimeKey: new Uint8Array(32), amount: 2n ** 60n },
  };
  expect(decodeInvitation(encodeInvitation(invitation))).toEqual({ ok: true, value: invitation });
  const six = encodeInvitation({ ...invitation, elders: invitation.elders.slice(1) });
  expect(decodeInvitation(six).ok).toBe(false);
});

test('the lobby is behind admission control: an unknown peer may have a few requests, and noise counts against it', async () => {
  type Handler = Parameters<NodeHost['serve']>[2];
  let handler: Handler | undefined;
  const host: Pick<NodeHost, 'serve'> = {
    serve: async (_kind, tag, given) => {
      expect(tag).toBe(lobbyTag);
      handler = given;
    },
  };
  const metrics = createMetrics();
  let asked = 0;
  await serveLobby(host, createAdmissionControl(metrics), {
    network: () => {
      asked += 1;
      return null;
    },
  });
  const invalid: string[] = [];
  const from = (peerId: string): Parameters<Handler>[1] => ({
    peerId,
    name: seed(9),
    address: null,
    reportInvalid: () => void invalid.push(peerId),
  });
  const which = encodeLobbyRequest({ kind: 'describe' });
  await Promise.all(Array.from({ length: 50 }, () => handler?.(which, from('eager'))));
  expect(asked).toBe(maxPerOutsider);
  await handler?.(which, from('other'));
  expect(asked).toBe(maxPerOutsider + 1);
  expect(invalid).toEqual([]);
  const reply = decodeLobbyReply((await handler?.(Uint8Array.of(1), from('noise'))) ?? seed(0));
  expect(reply).toMatchObject({ ok: true, value: { kind: 'refused' } });
  expect(invalid).toEqual(['noise']);
  metrics.stop();
});
