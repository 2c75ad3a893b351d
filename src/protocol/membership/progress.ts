/** A state on its way through one generation. */
import type { XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { DkgSession, SectionLedger, SectionState } from '#protocol/section/index.ts';
import { maxDeparted } from './rules.ts';

/** What happened, for the screen and the log. */
export type SectionEvent =
  | { readonly kind: 'joined'; readonly name: XorName; readonly movedIn: boolean }
  | { readonly kind: 'left'; readonly name: XorName }
  | { readonly kind: 'demoted'; readonly name: XorName }
  | { readonly kind: 'placesSet'; readonly count: number }
  /** Its lot is drawn; it moves when no key generation is under way. */
  | { readonly kind: 'drawn'; readonly name: XorName }
  /** It is a member no more, and the section signs its ticket. */
  | { readonly kind: 'moving'; readonly name: XorName; readonly age: number }
  | { readonly kind: 'sessionOpened'; readonly session: DkgSession }
  | { readonly kind: 'sessionClosed'; readonly sessionId: Uint8Array }
  | { readonly kind: 'handoverChosen'; readonly sessionId: Uint8Array }
  | { readonly kind: 'sealed'; readonly sealedRoot: Uint8Array };

/** A state with what happened on the way to it. */
export interface Progress {
  readonly state: SectionState;
  readonly events: readonly SectionEvent[];
}

export const withLedger = (
  { authority, ledger }: SectionState,
  change: Partial<SectionLedger>,
): SectionState => ({ authority, ledger: { ...ledger, ...change } });

export function andThen(progress: Progress, next: (state: SectionState) => Progress): Progress {
  const { state, events } = next(progress.state);
  return { state, events: [...progress.events, ...events] };
}

/** A name leaves the members for good; its lot, if one was drawn, is void. */
export function depart({ authority, ledger }: SectionState, name: XorName): SectionState {
  const isOther = (each: { readonly name: XorName }): boolean => !equalBytes(each.name, name);
  return {
    authority: { ...authority, members: authority.members.filter(isOther) },
    ledger: {
      ...ledger,
      moving: ledger.moving.filter(isOther),
      departed: [...ledger.departed, name].slice(-maxDeparted),
    },
  };
}
