/** Goal: bytes that were wiped are never used as a key again, by nobody. */
import { expect, test } from 'vitest';
import { Secret, WipedSecretError } from '#core/secret.ts';
import { open, openWithNonce, seal, sealWithNonce } from '#runtime/jobs/ciphers.ts';

test('a secret that was wiped reveals nothing any more, and its bytes are zeros', () => {
  const bytes = new Uint8Array(32).fill(7);
  const secret = new Secret(bytes);
  expect(secret.reveal()).toEqual(new Uint8Array(32).fill(7));
  secret.wipe();
  expect(() => secret.reveal()).toThrow(WipedSecretError);
  expect(bytes).toEqual(new Uint8Array(32));
  secret.wipe();
  expect(() => secret.reveal()).toThrow(WipedSecretError);
});

test('a key wiped while the platform seals or opens is the one that seals and opens', async () => {
  const nonce = new Uint8Array(12).fill(1);
  const context = Uint8Array.of(9);
  const plain = Uint8Array.of(1, 2, 3);
  const fresh = (): Secret => new Secret(new Uint8Array(32).fill(7));
  const wipedAtOnce = <Value>(use: (key: Uint8Array) => Promise<Value>): Promise<Value> => {
    const secret = fresh();
    const running = use(secret.reveal());
    secret.wipe();
    return running;
  };
  const whole = await wipedAtOnce((key) => sealWithNonce(key, nonce, plain, context));
  expect(await openWithNonce(new Uint8Array(32), whole, context)).toBeNull();
  expect(await openWithNonce(fresh().reveal(), whole, context)).toEqual(plain);
  expect(await wipedAtOnce((key) => openWithNonce(key, whole, context))).toEqual(plain);
  const sealed = await wipedAtOnce((key) => seal({ key, nonce }, plain));
  expect(await wipedAtOnce((key) => open({ key, nonce }, sealed))).toEqual(plain);
});
