/** What goes wrong in a way a person can act on. Thrown inside the vault, answered to the page. */
import type { VaultError, VaultErrorKind } from '#bridge/vault.ts';
import type { PhraseProblem } from '#safe/credentials/phrase-problem.ts';

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
  if (thrown instanceof DOMException && thrown.name === 'QuotaExceededError') {
    return {
      kind: 'storageFull',
      message: 'This device has no room left for Safe. Free some space, then try again.',
    };
  }
  const tooNew = thrown instanceof Error && 'kind' in thrown && thrown.kind === 'newerSchema';
  return {
    kind: 'internal',
    message: tooNew
      ? thrown.message
      : 'Something went wrong inside the app. Reload the page and try again.',
  };
}
