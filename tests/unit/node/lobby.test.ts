/** Goal: seven founders hear the same invitation, and only who speaks for itself is invited. */
import { expect, test } from 'vitest';
import { lobbyTag } from '#network/protocols.ts';
import type { NodeHost } from '#network/node-host.ts';
import { createGate, maxPerOutsider } from '#node/gate.ts';
import { answerLobby, createGathering, serveLobby } from '#node/lobby.ts';
import { createMetrics } from '#node/metrics.ts';
import { publicKeyOf } from '#node/native-ed25519.ts';
import { encodeAddressRecord, signAddressRecord } from '#protocol/section/index.ts';
import {
  decodeInvitation,
  decodeLobbyReply,
  decodeLobbyRequest,
  encodeInvitation,
  encodeLobbyReply,
  encodeLobbyRequest,
  lobbyId,
  type Founder,
  type Invitation,
  type LobbyReply,
  type LobbyRequest,
} from '#roles/wire/lobby.ts';

const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const founder = (n: number, addresses = [`/ip4/127.0.0.1/tcp/${n}`]): Founder => ({
  record: encodeAddressRecord(signAddressRecord(seed(n), lobbyId, 1n, addresses)),
  sharingKey: seed(100 + n),
});

const gathering = (kept: Invitation | null = null) => {
  const keptNow: Invitation[] = [];
  const made = createGathering({
    kept,
    elders: 7,
    adults: 1,
    make: (elders, adults) => ({
      networkName: 'test',
      nonce: new Uint8Array(32),
      elders,
      adults,
      genesisOutput: null,
    }),
    keep: (invitation) => keptNow.push(invitation),
    onArrival: () => undefined,
  });
  return { ...made, kept: keptNow };
};

const ask = async (
  at: ReturnType<typeof gathering>,
  request: LobbyRequest,
  from: Uint8Array,
): Promise<LobbyReply> => {
  const bytes = encodeLobbyRequest(request);
  const answers = { network: () => null, arrive: at.arrive };
  const reply = decodeLobbyReply(await answerLobby(bytes, answers, from));
  if (!reply.ok) throw new Error('malformed');
  return reply.value;
};

test('founders wait for each other, then all hear one invitation, kept before it is told', async () => {
  const lobby = gathering();
  for (let n = 1; n <= 7; n++) {
    const reply = await ask(lobby, { kind: 'arrive', ...founder(n) }, publicKeyOf(seed(n)));
    expect(reply).toEqual({ kind: 'waiting', arrived: n, wanted: 8 });
    // Knocking again changes nothing.
    await ask(lobby, { kind: 'arrive', ...founder(n) }, publicKeyOf(seed(n)));
  }
  expect(lobby.kept).toEqual([]);
  const last = await ask(lobby, { kind: 'arrive', ...founder(8) }, publicKeyOf(seed(8)));
  expect(lobby.kept).toHaveLength(1);
  const first = await ask(lobby, { kind: 'arrive', ...founder(1) }, publicKeyOf(seed(1)));
  expect(first).toEqual(last);
  if (first.kind !== 'founding') throw new Error(first.kind);
  const invitation = decodeInvitation(first.invitation);
  expect(invitation.ok && invitation.value.elders).toEqual(
    [1, 2, 3, 4, 5, 6, 7].map((n) => founder(n)),
  );
  expect(invitation.ok && invitation.value.adults).toEqual([founder(8)]);

  // After a restart of the join point the same invitation is told.
  const again = gathering(lobby.kept[0]);
  expect(await ask(again, { kind: 'arrive', ...founder(3) }, publicKeyOf(seed(3)))).toEqual(first);
});

test('a founder speaks for itself, with an address others can dial', async () => {
  const lobby = gathering();
  const mallory = publicKeyOf(seed(66));
  const forAlice = await ask(lobby, { kind: 'arrive', ...founder(1) }, mallory);
  expect(forAlice).toMatchObject({ kind: 'refused', refusal: { rule: 'otherName' } });
  const nowhere = await ask(lobby, { kind: 'arrive', ...founder(1, []) }, publicKeyOf(seed(1)));
  expect(nowhere).toMatchObject({ kind: 'refused', refusal: { rule: 'noAddress' } });
  const born = await ask(lobby, { kind: 'born', authority: new Uint8Array(9) }, mallory);
  expect(born).toMatchObject({ kind: 'refused', refusal: { rule: 'noFoundingHere' } });
});

test('every message of the lobby comes back as it went, and a byte more is malformed', () => {
  const requests: readonly LobbyRequest[] = [
    { kind: 'arrive', ...founder(1) },
    { kind: 'born', authority: new Uint8Array(64 * 1024) },
    { kind: 'which' },
  ];
  for (const request of requests) {
    expect(decodeLobbyRequest(encodeLobbyRequest(request))).toEqual({ ok: true, value: request });
  }
  const replies: readonly LobbyReply[] = [
    { kind: 'waiting', arrived: 1, wanted: 7 },
    { kind: 'founding', invitation: new Uint8Array(384 * 1024) },
    { kind: 'network', file: 'x'.repeat(4096), records: [new Uint8Array(4096)] },
    { kind: 'heard', count: 7 },
    { kind: 'refused', refusal: { kind: 'busy', afterMs: 1 } },
  ];
  for (const reply of replies) {
    expect(decodeLobbyReply(encodeLobbyReply(reply))).toEqual({ ok: true, value: reply });
  }
  const large = encodeLobbyRequest({ kind: 'born', authority: new Uint8Array(64 * 1024 + 1) });
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

test('the lobby is behind the gate: one stranger has a few questions at once, and noise is held against it', async () => {
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
  await serveLobby(host, createGate(metrics), {
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
    invalid: () => void invalid.push(peerId),
  });
  const which = encodeLobbyRequest({ kind: 'which' });
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
