/** Goal: wiped bytes are never used as a key again. */
import { expect, test } from 'vitest';
import { Secret, WipedSecretError } from '#core/secret.ts';
import { decrypt, decryptWithNonce, encrypt, encryptWithNonce } from '#runtime/jobs/ciphers.ts';

test('a wiped secret reveals nothing, and its bytes are zeros', () => {
  const bytes = new Uint8Array(32).fill(7);
  const secret = new Secret(bytes);
  expect(secret.reveal()).toEqual(new Uint8Array(32).fill(7));
  secret.wipe();
  expect(() => secret.reveal()).toThrow(WipedSecretError);
  expect(bytes).toEqual(new Uint8Array(32));
  secret.wipe();
  expect(() => secret.reveal()).toThrow(WipedSecretError);
});

test('a key wiped while the platform encrypts or decrypts is still the key used', async () => {
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
  const whole = await wipedAtOnce((key) => encryptWithNonce(key, nonce, plain, context));
  expect(await decryptWithNonce(new Uint8Array(32), whole, context)).toBeNull();
  expect(await decryptWithNonce(fresh().reveal(), whole, context)).toEqual(plain);
  expect(await wipedAtOnce((key) => decryptWithNonce(key, whole, context))).toEqual(plain);
  const sealed = await wipedAtOnce((key) => encrypt({ key, nonce }, plain));
  expect(await wipedAtOnce((key) => decrypt({ key, nonce }, sealed))).toEqual(plain);
});
