/**
 * Derives keys from access keys. The strong key (phrase, or this device's stored member key) comes first
 * and the password last: {@link unlockRoot} takes a {@link StrongKey}, which only an accepted phrase or
 * device can make, so no code path can ask for a password before.
 *
 *     phrase ─► m ─┬─► pointer owner key (ed25519), fingerprint     known without the password
 *                  └─► salt ─┐
 *     password ─ Argon2id ◄──┘
 *         └──► root R = HKDF(st ‖ m) ─► index key, plan key, wallet seed
 */
import { concat, utf8 } from '#core/codec/bytes.ts';
import { ok, type Result } from '#core/result.ts';
import { Secret } from '#core/secret.ts';
import { englishWords } from '#crypto/bip39.ts';
import { ed25519PublicKey } from '#crypto/ed25519.ts';
import { hkdf, labelledHash } from '#crypto/hash.ts';
import type { Stretch, StretchParameters } from '#crypto/stretch-parameters.ts';
import type { Password } from './password-rules.ts';
import { phraseMemberKey } from './phrase.ts';
import { readPhrase, type PhraseProblem } from './phrase-problem.ts';

const noSalt = new Uint8Array();

/** The result of an accepted strong key: it locates the Safe but cannot decrypt it. */
export class StrongKey {
  readonly #member: Secret;
  /** ed25519 public key of the pointer record; also identifies the Safe on a device. */
  readonly owner: Uint8Array;
  /** Three words by which a person recognises a Safe. */
  readonly fingerprint: string;

  private constructor(member: Secret) {
    this.#member = member;
    this.owner = this.withOwnerSeed(ed25519PublicKey);
    this.fingerprint = fingerprintOf(this.owner);
  }

  static fromPhrase(typed: string): Result<StrongKey, PhraseProblem> {
    const entropy = readPhrase(typed);
    return entropy.ok ? ok(new StrongKey(phraseMemberKey(entropy.value))) : entropy;
  }

  /** @param member 32 bytes that this device had wrapped (storage/browser/vault-store.ts). */
  static fromDevice(member: Uint8Array): StrongKey {
    return new StrongKey(new Secret(member));
  }

  /** Gives the seed that signs pointer records to `use`, and wipes it afterwards. */
  withOwnerSeed<Value>(use: (seed: Uint8Array) => Value): Value {
    const seed = hkdf(this.#member.reveal(), noSalt, 'safe/v1/pointer-sign', 32);
    try {
      return use(seed);
    } finally {
      seed.fill(0);
    }
  }

  genesisSalt(): Uint8Array {
    return hkdf(this.#member.reveal(), noSalt, 'safe/v1/genesis-salt', 16);
  }

  /** m, for the device that stores it. */
  member(): Secret {
    return this.#member;
  }

  wipe(): void {
    this.#member.wipe();
  }
}

/** The keys of an open Safe. */
export interface RootKeys {
  /** Encrypts the index; decrypting it verifies a password. */
  readonly index: Secret;
  /** Encrypts this device's records of unfinished uploads. */
  readonly plans: Secret;
  readonly wallet: Secret;
}

/**
 * Derives the genesis root from password and phrase alone, so a Safe can be made offline.
 * @param password wiped afterwards
 */
export async function unlockRoot(
  strong: StrongKey,
  password: Password,
  parameters: StretchParameters,
  stretch: Stretch,
): Promise<Result<RootKeys, 'outOfRange' | 'outOfMemory'>> {
  const stretched = await stretch(password, strong.genesisSalt(), parameters).finally(() =>
    password.fill(0),
  );
  if (!stretched.ok) return stretched;
  const ikm = concat(stretched.value, strong.member().reveal());
  const root = hkdf(ikm, noSalt, 'safe/v1/genesis', 32);
  const derive = (purpose: string): Secret =>
    new Secret(hkdf(root, noSalt, `safe/v1/${purpose}`, 32));
  const keys = { index: derive('index'), plans: derive('plans'), wallet: derive('wallet') };
  for (const bytes of [stretched.value, ikm, root]) bytes.fill(0);
  return ok(keys);
}

export const allKeys = (keys: RootKeys): readonly Secret[] => [keys.index, keys.plans, keys.wallet];

function fingerprintOf(owner: Uint8Array): string {
  const hash = labelledHash('safe/v1/fingerprint', owner);
  let bits = 0n;
  for (const byte of hash.slice(0, 5)) bits = (bits << 8n) | BigInt(byte);
  return [29n, 18n, 7n].map((shift) => englishWords[Number((bits >> shift) & 2047n)]).join(' ');
}

/** The AEAD context that binds an encrypted index to its Safe. */
export const indexContext = (owner: Uint8Array): Uint8Array => concat(utf8('safe/v1/index'), owner);
