/** Who takes part in a handover: the old elders, the new ones of every child, and which of them this node is. */
import { assert } from '#core/assert.ts';
import { compareBytes, equalBytes, toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import type { Charter, SectionElder } from '#protocol/section/index.ts';
import type { HandoverConfig } from './state.ts';

export const oldElders = ({ closing }: HandoverConfig): readonly SectionElder[] =>
  closing.authority.elders;

export const selfAsOldElder = (config: HandoverConfig): SectionElder | undefined =>
  config.abstain === true
    ? undefined
    : oldElders(config).find(({ name }) => equalBytes(name, config.name));

export function chartersOf({ closing }: HandoverConfig): readonly Charter[] {
  const { phase } = closing.ledger;
  assert(phase.kind !== 'open', 'a handover begins with its decision');
  return phase.charters;
}

export function selfAsIncomingElder(
  config: HandoverConfig,
): { readonly child: number; readonly charter: Charter; readonly index: number } | undefined {
  for (const [child, charter] of chartersOf(config).entries()) {
    const self = charter.elders.find(({ name }) => equalBytes(name, config.name));
    if (self !== undefined) return { child, charter, index: self.index };
  }
  return undefined;
}

/** Every old and new elder but this node. */
export function peersOf(config: HandoverConfig): readonly NodeId[] {
  const all = [...oldElders(config), ...chartersOf(config).flatMap(({ elders }) => elders)];
  const names = [...all].map(({ name }) => name).sort(compareBytes);
  const ids = new Set(names.map((name) => toHex(name)));
  ids.delete(toHex(config.name));
  return [...ids];
}

/** The elder itself first, then all other peers. */
export const snapshotHolders = (config: HandoverConfig, elder: number): readonly NodeId[] => {
  const own = oldElderId(config, elder);
  return [own, ...peersOf(config).filter((id) => id !== own)];
};

export const oldElderId = (config: HandoverConfig, index: number): NodeId => {
  const elder = oldElders(config).find((each) => each.index === index);
  return elder === undefined ? '' : toHex(elder.name);
};
