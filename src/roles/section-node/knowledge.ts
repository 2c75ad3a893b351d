/**
 * What a node knows of the network, and how it learns: by sealed states that prove themselves.
 * Whoever speaks to us with older knowledge is told; whoever speaks with newer is asked (N30, N35).
 */
import { matches } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context, NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { pushedBy } from '#protocol/anti-entropy/index.ts';
import {
  decodeSealedState,
  encodeSealedState,
  isKnownKey,
  isNews,
  ledgerRootOf,
  planUpdate,
  proofOf,
  signedAuthorityOf,
  storedUpdate,
  treeWith,
  type SealedState,
  type SectionAuthority,
  type VerifyUpdateJob,
} from '#protocol/section/index.ts';
import { ticketsDue } from '#protocol/membership/index.ts';
import { settleArrival } from './arrival.ts';
import { takeSeat } from './desk.ts';
import { after, flow, inOrder, type Flow } from './flow.ts';
import { followSessions } from './keygen.ts';
import { keepLinks } from './links.ts';
import { pruneArrivals, withoutGranted } from './opinions.ts';
import { elderIndex, memberIds, stamp } from './peers.ts';
import type { SectionNodeConfig, SectionNodeState } from './state.ts';
import { isSilent } from './silence.ts';
import { followEnding } from './succession.ts';
import { noteMembers } from './suspicion.ts';
import { ask, nothingMore } from './telling.ts';
import { mayVerify } from './verifying.ts';

/** How a sealed state came to us: what we made ourselves, others must hear. */
export type Origin = 'made' | 'told' | 'found';

/** Somebody's sealed state: its proof is paid for only if it would be news. */
export function heard(
  config: Pick<SectionNodeConfig, 'self'>,
  state: SectionNodeState,
  from: NodeId,
  bytes: Uint8Array,
): Flow {
  const decoded = decodeSealedState(bytes);
  if (!decoded.ok) {
    return flow(state, { kind: 'blame', fault: { kind: 'malformedUpdate', culprit: from } });
  }
  const sealed = decoded.value;
  const { authority, ledger } = sealed.state;
  const plan = planUpdate(state.tree, proofOf(signedAuthorityOf(sealed)));
  const bound = equalBytes(ledgerRootOf(ledger), authority.ledgerRoot);
  if (plan.kind === 'same' && !isOwnNews(state, authority)) return flow(state);
  if (plan.kind === 'refused' && plan.fault.kind === 'unknownKey') return ask(state, from);
  if (plan.kind === 'refused' || !bound) {
    return flow(state, { kind: 'blame', fault: { kind: 'unprovenUpdate', culprit: from } });
  }
  // A client's half of it was learnt before; now the ledger comes, and the seal is checked once more.
  const job = plan.kind === 'verify' ? plan.job : sealOnly(sealed);
  const id = `verify/${toHex(labelledHash('safe/v1/update-to-verify', bytes))}`;
  if (!mayVerify(config, state, id, from)) return flow(state);
  return flow(
    { ...state, verifying: new Map(state.verifying).set(id, from) },
    { kind: 'compute', id, job: { kind: 'verifySealed', job, sealed } },
  );
}

const sealOnly = (sealed: SealedState): VerifyUpdateJob => ({
  kind: 'verifyUpdate',
  proof: { ...proofOf(signedAuthorityOf(sealed)), links: [] },
  checkShares: false,
});

export function verified(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  sealed: SealedState | null,
  context: Context,
): Flow {
  const from = state.verifying.get(id);
  const verifying = new Map(state.verifying);
  verifying.delete(id);
  const next = { ...state, verifying };
  if (sealed !== null) return adopt(config, next, sealed, 'told', context);
  return from === undefined
    ? flow(next)
    : flow(next, { kind: 'blame', fault: { kind: 'unprovenUpdate', culprit: from } });
}

/** Takes in a proven state: of this node's own section, or of another. */
export function adopt(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
  origin: Origin,
  context: Context,
): Flow {
  const { authority } = sealed.state;
  const isInside = matches(authority.prefix, config.name);
  if (isInside ? !isOwnNews(state, authority) : !isNews(state.tree, authority)) return flow(state);
  const tree = treeWith(state.tree, sealed);
  if (!tree.ok) {
    return flow(state, { kind: 'output', output: { kind: 'forked', ...tree.error } });
  }
  const known = { ...state, tree: tree.value };
  if (!isInside) {
    const update = storedUpdate(proofOf(signedAuthorityOf(sealed)));
    const learned = { kind: 'output', output: { kind: 'learned', update } } as const;
    return flow(known, ...keepLinks(state.tree, known.tree), learned);
  }
  const previous = previousOf(state, authority);
  const moved = noteMembers(
    config,
    withoutGranted(pruneArrivals({ ...known, own: sealed, previous, told: new Map(), desk: null })),
  );
  const kept = flow(moved, ...keepLinks(state.tree, known.tree), {
    kind: 'persist',
    fact: { kind: 'sealed', sealed: encodeSealedState(sealed) },
  });
  return inOrder(
    state,
    () => kept,
    (now) => (origin === 'made' ? push(config, now, sealed) : flow(now)),
    (now) => followSessions(config, now, context),
    (now) => takeSeat(config, now, sealed, [], context),
    (now) => followEnding(config, now, sealed, [], context),
    (now) => settleArrival(config, now),
    (now) => announce(config, now, sealed),
  );
}

/** What the state before a new one of this authority becomes; also when it is read from the disk. */
export const previousOf = (
  { own, previous }: Pick<SectionNodeState, 'own' | 'previous'>,
  { key }: Pick<SectionAuthority, 'key'>,
): SectionAuthority | null =>
  own === null || equalBytes(own.state.authority.key, key) ? previous : own.state.authority;

export function announce(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
): Flow {
  const { authority } = sealed.state;
  const isMember = memberIds(authority).includes(config.self);
  const isElder = elderIndex(authority, config.self) > 0;
  const standing = isElder ? 'elder' : isMember ? 'adult' : 'outside';
  // N10: a store that forgot signs no money under this key either.
  const silent = isSilent(config, state, authority.key);
  const share = silent ? null : (state.shares.get(toHex(authority.key)) ?? null);
  return flow(state, {
    kind: 'output',
    output: {
      kind: 'adopted',
      sealed,
      previous: state.previous,
      standing,
      share: isElder ? share : null,
    },
  });
}

/** N35: each member hears of a new state from three elders chosen by hash; others answer if asked. */
function push(config: SectionNodeConfig, state: SectionNodeState, sealed: SealedState): Flow {
  const { authority } = sealed.state;
  const to = pushedBy(authority, config.name).map(nameToId);
  const departed = ticketsDue(sealed.state).map(({ name }) => nameToId(name));
  const all = [...new Set([...to, ...departed])];
  if (all.length === 0) return flow(state);
  // A first state proves itself by its last link; members know the key before it.
  const bytes = encodeSealedState({ ...sealed, chain: sealed.chain.slice(-1) });
  return after(flow(state), (now) =>
    flow(
      { ...now, told: new Map([...now.told, ...all.map((id) => [id, nothingMore] as const)]) },
      { kind: 'send', to: all, message: stamp(now, { kind: 'update', sealed: bytes }) },
    ),
  );
}

/** Newer than the state that this node works on? The tree may know more than its ledger. */
function isOwnNews(
  { own, tree }: SectionNodeState,
  authority: Pick<SectionAuthority, 'key' | 'epoch' | 'generation' | 'prefix'>,
): boolean {
  if (own === null) return true;
  const held = own.state.authority;
  if (equalBytes(held.key, authority.key)) return held.generation < authority.generation;
  return held.epoch < authority.epoch && isKnownOrNew(tree, authority);
}

const isKnownOrNew = (
  tree: SectionNodeState['tree'],
  authority: Pick<SectionAuthority, 'key' | 'epoch' | 'generation' | 'prefix'>,
): boolean => isNews(tree, authority) || isKnownKey(tree, authority.key);
