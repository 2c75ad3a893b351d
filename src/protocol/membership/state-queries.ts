/** Queries of the rules on a sealed state. */
import { nameToId, type XorName } from '#address/xor-name.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { DkgSession, RelocationDetails, SectionState } from '#protocol/section/index.ts';

export type Member = SectionState['authority']['members'][number];

export const isMember = (state: SectionState, name: Uint8Array): boolean =>
  state.authority.members.some((member) => equalBytes(member.name, name));

export const isElder = (state: SectionState, name: Uint8Array): boolean =>
  state.authority.elders.some((elder) => equalBytes(elder.name, name));

/** Elders of the key that are no longer members: only a handover replaces them. */
export const lostElders = (state: SectionState): readonly XorName[] =>
  state.authority.elders.map(({ name }) => name).filter((name) => !isMember(state, name));

/** Elders of the key that are still members. */
export const presentElders = (state: SectionState): readonly XorName[] =>
  state.authority.elders.map(({ name }) => name).filter((name) => isMember(state, name));

export const adultsIn = (state: SectionState): readonly Member[] => {
  const elders = new Set(state.authority.elders.map(({ name }) => nameToId(name)));
  return state.authority.members.filter(({ name }) => !elders.has(nameToId(name)));
};

/** Whether this name is a candidate of an open session, or an elder of a chosen key. */
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

/** Selected to relocate but still a member: no relocation during a key generation. */
export const isSelectedToRelocate = (state: SectionState, name: Uint8Array): boolean =>
  state.ledger.relocating.some((each) => equalBytes(each.name, name)) && isMember(state, name);

/** The relocations for which the section signs certificates: the nodes are no longer members. */
export const relocationsToCertify = (state: SectionState): readonly RelocationDetails[] =>
  state.ledger.relocating.filter(({ name }) => !isMember(state, name));

export const findSession = (state: SectionState, id: Uint8Array): DkgSession | undefined =>
  state.ledger.sessions.find((session) => equalBytes(session.id, id));

export const includesName = (names: readonly Uint8Array[], name: Uint8Array): boolean =>
  names.some((each) => equalBytes(each, name));

export const sameNames = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((name, at) => equalBytes(name, b[at] ?? new Uint8Array()));
