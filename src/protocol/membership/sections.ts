/** Questions that rules ask about a sealed state. */
import type { Prefix } from '#address/prefix.ts';
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { DkgSession, Moving, SectionState } from '#protocol/section/index.ts';

export type Member = SectionState['authority']['members'][number];

export const isMember = (state: SectionState, name: Uint8Array): boolean =>
  state.authority.members.some((member) => equalBytes(member.name, name));

export const isElder = (state: SectionState, name: Uint8Array): boolean =>
  state.authority.elders.some((elder) => equalBytes(elder.name, name));

/** Elders of the key that are no members any more: until a handover nobody replaces them. */
export const lostElders = (state: SectionState): readonly XorName[] =>
  state.authority.elders.map(({ name }) => name).filter((name) => !isMember(state, name));

/** Elders of the key that still are members. */
export const presentElders = (state: SectionState): readonly XorName[] =>
  state.authority.elders.map(({ name }) => name).filter((name) => isMember(state, name));

export const adultsIn = (state: SectionState): readonly Member[] => {
  const elders = new Set(state.authority.elders.map(({ name }) => nameToId(name)));
  return state.authority.members.filter(({ name }) => !elders.has(nameToId(name)));
};

/** Is this name a candidate of a session under way, or chosen already? */
export function isCandidate({ ledger }: SectionState, name: Uint8Array): boolean {
  const { phase, sessions } = ledger;
  const chosen = phase.kind === 'open' ? [] : phase.charters.flatMap(({ elders }) => elders);
  return (
    chosen.some((elder) => equalBytes(elder.name, name)) ||
    sessions.some(({ children }) =>
      children.some(({ candidates }) => includesName(candidates, name)),
    )
  );
}

/** Its lot is drawn, but it is still here: no move while a key generation is under way. */
export const isDrawn = (state: SectionState, name: Uint8Array): boolean =>
  state.ledger.moving.some((each) => equalBytes(each.name, name)) && isMember(state, name);

/** Those whose tickets the section signs: they are members no more. */
export const ticketsDue = (state: SectionState): readonly Moving[] =>
  state.ledger.moving.filter(({ name }) => !isMember(state, name));

export const findSession = (state: SectionState, id: Uint8Array): DkgSession | undefined =>
  state.ledger.sessions.find((session) => equalBytes(session.id, id));

export const includesName = (names: readonly Uint8Array[], name: Uint8Array): boolean =>
  names.some((each) => equalBytes(each, name));

export const sameNames = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((name, at) => equalBytes(name, b[at] ?? new Uint8Array()));

export const samePrefix = (a: Prefix, b: Prefix): boolean =>
  a.bitCount === b.bitCount && equalBytes(a.bits, b.bits);
