/** Goal: a node that still works with a section after its split counts as known. */
import { expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { createKnownMembers } from '#node/section/known-members.ts';
import { genesis, grow } from '../section/network.ts';

const parent = genesis('known members', 20).state.authority;
const [mine, theirs] = [parent.members.slice(0, 10), parent.members.slice(10)];
const childOf = (key: number, members: typeof mine) => ({
  key: new Uint8Array(96).fill(key),
  elders: parent.elders.filter(({ name }) => members.some((each) => each.name === name)),
  members,
});
const ids = (members: typeof mine): readonly string[] => members.map(({ name }) => nameToId(name));

test('after a split members of the other half stay known before its first state arrives', () => {
  const known = createKnownMembers();
  known.setOwnSection(childOf(1, mine), parent);
  expect(ids([...mine, ...theirs]).every(known.has)).toBe(true);
});

test('after the next handover they are unknown, unless a state of their section names them', () => {
  const known = createKnownMembers();
  known.setOwnSection(childOf(2, mine), childOf(1, mine));
  const left = ids(theirs).filter((id) => !ids(mine).includes(id));
  expect(left.filter(known.has)).toEqual([]);
  known.setOtherSections([childOf(3, theirs)]);
  expect(left.every(known.has)).toBe(true);
});

test('a node that leaves under the same key is unknown at once', () => {
  const known = createKnownMembers();
  const grown = grow(genesis('known members', 20)).state.authority;
  known.setOwnSection(grown, null);
  known.setOwnSection({ ...grown, members: mine, elders: [] }, null);
  expect(ids(theirs).filter(known.has)).toEqual([]);
});
