/** Goal: who still has work with a section that has split is not taken for a stranger. */
import { expect, test } from 'vitest';
import { nameToId } from '#address/xor-name.ts';
import { createKnownMembers } from '#node/known-members.ts';
import { genesis, grow } from '../section/network.ts';

const parent = genesis('known members', 20).state.authority;
const [mine, theirs] = [parent.members.slice(0, 10), parent.members.slice(10)];
const childOf = (key: number, members: typeof mine) => ({
  key: new Uint8Array(96).fill(key),
  elders: parent.elders.filter(({ name }) => members.some((each) => each.name === name)),
  members,
});
const ids = (members: typeof mine): readonly string[] => members.map(({ name }) => nameToId(name));

test('after a split the members of the other half are no strangers before its first state is known', () => {
  const known = createKnownMembers();
  known.adopted(childOf(1, mine), parent);
  expect(ids([...mine, ...theirs]).every(known.has)).toBe(true);
});

test('with the handover after that they are, unless a state of their section names them', () => {
  const known = createKnownMembers();
  known.adopted(childOf(2, mine), childOf(1, mine));
  const left = ids(theirs).filter((id) => !ids(mine).includes(id));
  expect(left.filter(known.has)).toEqual([]);
  known.follow([childOf(3, theirs)]);
  expect(left.every(known.has)).toBe(true);
});

test('whoever leaves under the same key is a stranger at once', () => {
  const known = createKnownMembers();
  const grown = grow(genesis('known members', 20)).state.authority;
  known.adopted(grown, null);
  known.adopted({ ...grown, members: mine, elders: [] }, null);
  expect(ids(theirs).filter(known.has)).toEqual([]);
});
