/** Failures that a person can act on. Thrown inside the vault, sent to the page. */
import type { VaultError, VaultErrorKind } from '#bridge/vault.ts';
import { WipedSecretError } from '#core/secret.ts';
import type { IndexSizeProblem } from '#safe/index/index-set.ts';
import type { PhraseProblem } from '#safe/credentials/phrase-problem.ts';
import { StoredDataError } from '#storage/browser/indexed-db.ts';

export class VaultFailure extends Error {
  readonly kind: VaultErrorKind;
  readonly phrase: PhraseProblem | undefined;

  constructor(kind: VaultErrorKind, message: string, phrase?: PhraseProblem) {
    super(message);
    this.kind = kind;
    this.phrase = phrase;
  }
}

/** The Safe was locked, perhaps during this call: nothing more is done for it. */
export const safeIsLocked = (): VaultFailure =>
  new VaultFailure('locked', 'Your Safe is locked. Unlock it first.');

export const forgottenOnDevice = (): VaultFailure =>
  new VaultFailure(
    'locked',
    'This Safe was forgotten on this device, in another tab. Open it with its phrase.',
  );

/** Never treated as "nothing there": the unreadable data may be all that a person has. */
export const unreadableOnDevice = (): VaultFailure =>
  new VaultFailure(
    'internal',
    'What this device keeps of your Safe is damaged, or was written by a newer version of the app. Nothing was changed. Reload to update; if that does not help, open it with the phrase on another device, or forget it here and open it again.',
  );

export function tooLarge(problem: IndexSizeProblem): VaultFailure {
  switch (problem) {
    case 'tooManyFiles':
    case 'tooManyBytes':
      return new VaultFailure(
        'storageFull',
        'The list of what is in this Safe, removed files included, is as long as one list can be. Nothing was changed. Use a second Safe.',
      );
    case 'walletTooLarge':
      return new VaultFailure(
        'storageFull',
        'The money part of this Safe is as large as it can be. Nothing was changed. Send what you have to a second Safe, in large payments.',
      );
  }
}

export const otherNetworkServed = (): VaultFailure =>
  new VaultFailure(
    'otherNetwork',
    'This address now serves another network than your Safe’s. Nothing was changed.',
  );

export const otherVersion = (): VaultFailure =>
  new VaultFailure(
    'networkRefused',
    'Your Safe was written by another version of the app. Reload to update, then try again.',
  );

/** A Safe made offline: no section responsible for its coins is known yet. */
export const networkNotReached = (): VaultFailure =>
  new VaultFailure(
    'offline',
    'Your Safe has not met a network yet. Go online once; then money can move.',
  );

/** Any thrown value, made safe for the page: no stack, and of a phrase only the doubtful word. */
export function toVaultError(thrown: unknown): VaultError {
  if (thrown instanceof VaultFailure) {
    const { kind, message, phrase } = thrown;
    return phrase === undefined ? { kind, message } : { kind, message, phrase };
  }
  // A key of a Safe that was locked meanwhile.
  if (thrown instanceof WipedSecretError) return toVaultError(safeIsLocked());
  if (thrown instanceof DOMException && thrown.name === 'QuotaExceededError') {
    return {
      kind: 'storageFull',
      message: 'This device has no room left for Safe. Free some space, then try again.',
    };
  }
  return {
    kind: 'internal',
    message:
      thrown instanceof StoredDataError
        ? thrown.message
        : 'Something went wrong inside the app. Reload the page and try again.',
  };
}
