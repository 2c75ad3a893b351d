/** The state while one generation is applied, with its events. */
import type { XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { DkgSession, SectionLedger, SectionState } from '#protocol/section/index.ts';
import { maxFormerNames } from './rules.ts';

/** Events for the Network page and the log. */
export type SectionEvent =
  | { readonly kind: 'joined'; readonly name: XorName; readonly relocated: boolean }
  | { readonly kind: 'left'; readonly name: XorName }
  | { readonly kind: 'demoted'; readonly name: XorName }
  | { readonly kind: 'vacanciesSet'; readonly count: number }
  /** Selected to relocate; it moves when no key generation is in progress. */
  | { readonly kind: 'selectedToRelocate'; readonly name: XorName }
  /** It is no longer a member, and the section signs its relocation certificate. */
  | { readonly kind: 'movedOut'; readonly name: XorName; readonly age: number }
  | { readonly kind: 'sessionOpened'; readonly session: DkgSession }
  | { readonly kind: 'sessionClosed'; readonly sessionId: Uint8Array }
  | { readonly kind: 'handoverChosen'; readonly sessionId: Uint8Array }
  | { readonly kind: 'sealed'; readonly sealedRoot: Uint8Array };

/** A state and the events so far: what `core/step.ts` composes. */
export interface Progress {
  readonly state: SectionState;
  readonly effects: readonly SectionEvent[];
}

export const withLedger = (
  { authority, ledger }: SectionState,
  change: Partial<SectionLedger>,
): SectionState => ({ authority, ledger: { ...ledger, ...change } });

/** Removes a member for good and voids its pending relocation. */
export function removeMember({ authority, ledger }: SectionState, name: XorName): SectionState {
  const isOther = (each: { readonly name: XorName }): boolean => !equalBytes(each.name, name);
  return {
    authority: { ...authority, members: authority.members.filter(isOther) },
    ledger: {
      ...ledger,
      relocating: ledger.relocating.filter(isOther),
      formerNames: [...ledger.formerNames, name].slice(-maxFormerNames),
    },
  };
}
