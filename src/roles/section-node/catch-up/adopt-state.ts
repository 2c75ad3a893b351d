/**
 * Verifies and adopts sealed states, of this node's own section and of others, and pushes states that
 * it helped to seal (N30, N35).
 */
import { matches } from '#address/prefix.ts';
import { nameToId } from '#address/xor-name.ts';
import { equalBytes, toHex } from '#core/codec/bytes.ts';
import type { Context, NodeId } from '#core/machine.ts';
import { andThen } from '#core/step.ts';
import { labelledHash } from '#crypto/hash.ts';
import { pushedBy } from '#protocol/anti-entropy/index.ts';
import {
  decodeSealedState,
  encodeSealedState,
  isKnownKey,
  isNewerThanKnown,
  ledgerRootOf,
  planUpdate,
  sectionProofOf,
  signedAuthorityOf,
  trustedUpdate,
  treeWith,
  type SealedState,
  type SectionAuthority,
  type VerifyUpdateJob,
} from '#protocol/section/index.ts';
import { relocationsToCertify } from '#protocol/membership/index.ts';
import { updateMembership } from '../joining/joining.ts';
import { startGeneration } from '../generation/generation-driver.ts';
import { nodeStep, type NodeStep } from '../node-step.ts';
import { followDkgSessions } from '../dkg/dkg-sessions.ts';
import { persistNewLinks } from '../stored-facts/stored-links.ts';
import { pruneJoinRequests } from '../joining/join-requests.ts';
import { dropGrantedVacancies } from '../observations/local-observations.ts';
import { elderIndex, memberIds, messageInSection } from '../recipients.ts';
import type { SectionNodeConfig, SectionNodeState, MemberRole } from '../state.ts';
import { mustAbstain } from '../lost-state/abstained-keys.ts';
import { followHandover } from '../handover/handover-flow.ts';
import { recordMembers } from '../observations/suspicion.ts';
import { requestUpdate, nothingLeft } from './updates.ts';
import { mayVerify } from './verification-slots.ts';

/** Source of a sealed state. States produced here are pushed to others. */
export type StateOrigin = 'produced' | 'received' | 'loaded';

/** A peer's sealed state: its proof is verified only if the state is newer than ours. */
export function onSealedState(
  config: Pick<SectionNodeConfig, 'self'>,
  state: SectionNodeState,
  from: NodeId,
  bytes: Uint8Array,
): NodeStep {
  const decoded = decodeSealedState(bytes);
  if (!decoded.ok) {
    return nodeStep(state, { kind: 'blame', fault: { kind: 'malformedUpdate', culprit: from } });
  }
  const sealed = decoded.value;
  const { authority, ledger } = sealed.state;
  const plan = planUpdate(state.tree, sectionProofOf(signedAuthorityOf(sealed)));
  const bound = equalBytes(ledgerRootOf(ledger), authority.ledgerRoot);
  if (plan.kind === 'same' && !isNewerForOwnSection(state, authority)) return nodeStep(state);
  if (plan.kind === 'refused' && plan.fault.kind === 'unknownKey')
    return requestUpdate(state, from);
  if (plan.kind === 'refused' || !bound) {
    return nodeStep(state, { kind: 'blame', fault: { kind: 'invalidUpdate', culprit: from } });
  }
  // The tree already holds this authority; the ledger is new, so verify the seal again.
  const job = plan.kind === 'verify' ? plan.job : sealCheckJob(sealed);
  const id = toHex(labelledHash('safe/v1/update-to-verify', bytes));
  if (!mayVerify(config, state, id, from)) return nodeStep(state);
  return nodeStep(
    { ...state, verifying: new Map(state.verifying).set(id, from) },
    {
      kind: 'compute',
      id: { kind: 'verifyState', hash: id },
      job: { kind: 'verifySealed', job, sealed },
    },
  );
}

const sealCheckJob = (sealed: SealedState): VerifyUpdateJob => ({
  kind: 'verifyUpdate',
  proof: { ...sectionProofOf(signedAuthorityOf(sealed)), links: [] },
  checkShares: false,
});

export function onStateVerified(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  sealed: SealedState | null,
  context: Context,
): NodeStep {
  const from = state.verifying.get(id);
  const verifying = new Map(state.verifying);
  verifying.delete(id);
  const next = { ...state, verifying };
  if (sealed !== null) return adoptState(config, next, sealed, 'received', context);
  return from === undefined
    ? nodeStep(next)
    : nodeStep(next, { kind: 'blame', fault: { kind: 'invalidUpdate', culprit: from } });
}

/** Adopts a verified state of this node's own section, or learns one of another. */
export function adoptState(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
  origin: StateOrigin,
  context: Context,
): NodeStep {
  const { authority } = sealed.state;
  const isInside = matches(authority.prefix, config.name);
  if (isInside ? !isNewerForOwnSection(state, authority) : !isNewerThanKnown(state.tree, authority))
    return nodeStep(state);
  const tree = treeWith(state.tree, sealed);
  if (!tree.ok) {
    return nodeStep(state, { kind: 'output', output: { kind: 'forked', ...tree.error } });
  }
  const known = { ...state, tree: tree.value };
  if (!isInside) {
    const update = trustedUpdate(sectionProofOf(signedAuthorityOf(sealed)));
    const learned = { kind: 'output', output: { kind: 'learned', update } } as const;
    return nodeStep(known, ...persistNewLinks(state.tree, known.tree), learned);
  }
  const previous = previousAuthorityOf(state, authority);
  const moved = recordMembers(
    config,
    dropGrantedVacancies(
      pruneJoinRequests({
        ...known,
        own: sealed,
        previous,
        sentUpdates: new Map(),
        pendingGeneration: null,
      }),
    ),
  );
  const kept = nodeStep(moved, ...persistNewLinks(state.tree, known.tree), {
    kind: 'persist',
    fact: { kind: 'sealed', sealed: encodeSealedState(sealed) },
  });
  return andThen(
    nodeStep(state),
    () => kept,
    (now) => (origin === 'produced' ? pushState(config, now, sealed) : nodeStep(now)),
    (now) => followDkgSessions(config, now, context),
    (now) => startGeneration(config, now, sealed, [], context),
    (now) => followHandover(config, now, sealed, [], context),
    (now) => updateMembership(config, now),
    (now) => outputAdopted(config, now, sealed),
  );
}

/** The new `previous` authority when a state with this key is adopted or read from disk. */
export const previousAuthorityOf = (
  { own, previous }: Pick<SectionNodeState, 'own' | 'previous'>,
  { key }: Pick<SectionAuthority, 'key'>,
): SectionAuthority | null =>
  own === null || equalBytes(own.state.authority.key, key) ? previous : own.state.authority;

export function outputAdopted(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
): NodeStep {
  const { authority } = sealed.state;
  const isMember = memberIds(authority).includes(config.self);
  const isElder = elderIndex(authority, config.self) > 0;
  const role: MemberRole = isElder ? 'elder' : isMember ? 'adult' : 'outsider';
  // N10: an elder that lost state signs no money under this key either.
  const abstains = mustAbstain(state, authority.key);
  const share = abstains ? null : (state.shares.get(toHex(authority.key)) ?? null);
  return nodeStep(state, {
    kind: 'output',
    output: {
      kind: 'adopted',
      sealed,
      previous: state.previous,
      role,
      share: isElder ? share : null,
    },
  });
}

/** N35: three elders, chosen by hash, push a new state to each member; the others answer requests. */
function pushState(
  config: SectionNodeConfig,
  state: SectionNodeState,
  sealed: SealedState,
): NodeStep {
  const { authority } = sealed.state;
  const to = pushedBy(authority, config.name).map(nameToId);
  const relocated = relocationsToCertify(sealed.state).map(({ name }) => nameToId(name));
  const all = [...new Set([...to, ...relocated])];
  if (all.length === 0) return nodeStep(state);
  // Members know the previous key, so the last link suffices.
  const bytes = encodeSealedState({ ...sealed, chain: sealed.chain.slice(-1) });
  return andThen(nodeStep(state), (now) =>
    nodeStep(
      {
        ...now,
        sentUpdates: new Map([...now.sentUpdates, ...all.map((id) => [id, nothingLeft] as const)]),
      },
      { kind: 'send', to: all, message: messageInSection(now, { kind: 'update', sealed: bytes }) },
    ),
  );
}

/** Is it newer than the adopted state? The tree may know a newer key without its ledger. */
function isNewerForOwnSection(
  { own, tree }: SectionNodeState,
  authority: Pick<SectionAuthority, 'key' | 'epoch' | 'generation' | 'prefix'>,
): boolean {
  if (own === null) return true;
  const held = own.state.authority;
  if (equalBytes(held.key, authority.key)) return held.generation < authority.generation;
  return held.epoch < authority.epoch && isKnownOrNewer(tree, authority);
}

const isKnownOrNewer = (
  tree: SectionNodeState['tree'],
  authority: Pick<SectionAuthority, 'key' | 'epoch' | 'generation' | 'prefix'>,
): boolean => isNewerThanKnown(tree, authority) || isKnownKey(tree, authority.key);
