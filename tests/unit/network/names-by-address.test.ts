/** Goal: refusing a connection looks only at those of its own address. Method: synthetic host events. */
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import type { Connection, PeerId } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { expect, test } from 'vitest';
import { namesByAddress } from '#network/limits/names-by-address.ts';
import { peerIdToName } from '#network/peer-id.ts';

const peer = async (n: number): Promise<PeerId> =>
  peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(n)));

test('a connected name is found under its own address until its last connection closes', async () => {
  const events = new EventTarget();
  const connected = namesByAddress(
    events as unknown as Parameters<typeof namesByAddress>[0],
    ({ remoteAddr }) => remoteAddr as unknown as string | null,
  );
  let ids = 0;
  const open = (remotePeer: PeerId, remoteAddr: string | null): (() => void) => {
    const detail = {
      id: `${++ids}`,
      status: 'open',
      remotePeer,
      remoteAddr,
    } as unknown as Connection;
    const emit = (kind: string) => events.dispatchEvent(new CustomEvent(kind, { detail }));
    emit('connection:open');
    return () => void emit('connection:close');
  };
  const [member, stranger] = [await peer(1), await peer(2)];
  const name = peerIdToName(member) ?? new Uint8Array();
  let looked = 0;
  const isMember = (each: Uint8Array): boolean => {
    looked += 1;
    return each.every((byte, n) => byte === name[n]);
  };
  for (let n = 0; n < 100; n++) open(stranger, 'elsewhere');
  const close = [open(member, 'there'), open(member, 'there')];
  open(member, null);
  expect(connected.some('there', isMember)).toBe(true);
  expect(connected.some(null, isMember)).toBe(false);
  expect(looked).toBe(1);
  close[0]?.();
  expect(connected.some('there', isMember)).toBe(true);
  close[1]?.();
  expect(connected.some('there', isMember)).toBe(false);
  expect(connected.some('elsewhere', isMember)).toBe(false);
});
