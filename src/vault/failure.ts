/** What goes wrong in a way a person can act on. Thrown inside the vault, answered to the page. */
import type { VaultError, VaultErrorKind } from '#bridge/vault.ts';
import { WipedSecretError } from '#core/secret.ts';
import type { Misfit } from '#safe/index/index-set.ts';
import type { PhraseProblem } from '#safe/credentials/phrase-problem.ts';
import { StoredDataError } from '#storage/browser/open.ts';

export class VaultFailure extends Error {
  readonly kind: VaultErrorKind;
  readonly phrase: PhraseProblem | undefined;

  constructor(kind: VaultErrorKind, message: string, phrase?: PhraseProblem) {
    super(message);
    this.kind = kind;
    this.phrase = phrase;
  }
}

/** The Safe was locked, perhaps while this was on its way: nothing more is done for it. */
export const safeIsLocked = (): VaultFailure =>
  new VaultFailure('locked', 'Your Safe is locked. Unlock it first.');

export const forgottenHere = (): VaultFailure =>
  new VaultFailure(
    'locked',
    'This Safe was forgotten on this device, in another tab. Open it with its phrase.',
  );

/** Never taken for "nothing there": what cannot be read may be all that a person has. */
export const unreadableHere = (): VaultFailure =>
  new VaultFailure(
    'internal',
    'What this device keeps of your Safe is damaged, or was written by a newer version of the app. Nothing was changed. Reload to update; if that does not help, open it with the phrase on another device, or forget it here and open it again.',
  );

export function tooLarge(misfit: Misfit): VaultFailure {
  switch (misfit) {
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

export const elsewhere = (): VaultFailure =>
  new VaultFailure(
    'otherNetwork',
    'This address now serves another network than your Safe’s. Nothing was changed.',
  );

export const otherVersion = (): VaultFailure =>
  new VaultFailure(
    'networkRefused',
    'Your Safe was written by another version of the app. Reload to update, then try again.',
  );

/** A Safe made offline: nothing is known yet of who answers for its coins. */
export const notMet = (): VaultFailure =>
  new VaultFailure(
    'offline',
    'Your Safe has not met a network yet. Go online once; then money can move.',
  );

/** Any thrown thing as the page may see it: no stack, no words of a phrase but the one in doubt. */
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
