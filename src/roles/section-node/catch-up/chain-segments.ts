/**
 * Chain segments: pages of links without a state. N38: a relocation certificate is valid only where its
 * source key is known; sections do not announce handovers to each other, so a relocating node sends the
 * links to that key. N31: a peer more than one page behind gets segments too.
 */
import { matches } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { andThen } from '#core/step.ts';
import { labelledHash } from '#crypto/hash.ts';
import { lastKeyOfPage } from '#protocol/anti-entropy/index.ts';
import {
  chainBetween,
  decodeSuccessor,
  encodeSuccessor,
  epochOf,
  learn,
  maxChainLinks,
  planUpdate,
  trustedUpdate,
  type SectionTree,
  type SignedSuccessor,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';
import { nodeStep, type NodeStep, type NodeEffect } from '../node-step.ts';
import { persistNewLinks, linkPages } from '../stored-facts/stored-links.ts';
import type { NodePayload } from '../messages.ts';
import type { SectionNodeConfig, SectionNodeFact, SectionNodeState } from '../state.ts';
import { requestUpdate, requestUpdateOnce } from './updates.ts';
import { mayVerify } from './verification-slots.ts';

/**
 * The links from the last common ancestor of `known` and `key` to `key`, in pages: a node that knows
 * `known` can follow the first. A page that arrives too early is ignored and re-sent in the next round.
 */
export function segmentsTo(
  tree: SectionTree,
  known: Uint8Array,
  key: Uint8Array,
): readonly NodePayload[] {
  const { genesisKey } = tree.anchor;
  const knownLinks = chainBetween(tree, genesisKey, known) ?? [];
  const all = chainBetween(tree, genesisKey, key) ?? [];
  const knownParents = new Set(knownLinks.map(({ record }) => toHex(record.parentKey)));
  const links = all.filter(({ record }) => !knownParents.has(toHex(record.parentKey)));
  const pages: NodePayload[] = [];
  for (let at = 0; at < links.length; at += maxChainLinks) {
    const page = links.slice(at, at + maxChainLinks).map(encodeSuccessor);
    pages.push({ kind: 'chainSegment', links: page });
  }
  return pages;
}

/** Outputs the stored links at a start: the shell keeps none and needs them to redirect clients. */
export function restoredSegments(facts: readonly SectionNodeFact[]): readonly NodeEffect[] {
  const links = facts.flatMap((fact) => (fact.kind === 'links' ? fact.links : []));
  return linkPages(decodedLinks(links)).map((page) => ({
    kind: 'output',
    output: { kind: 'learned', update: trustedUpdate({ links: page, authority: null }) },
  }));
}

/** Links from a peer: verified only if they are new and follow a known key. */
export function onSegment(
  config: SectionNodeConfig,
  state: SectionNodeState,
  from: NodeId,
  bytes: readonly Uint8Array[],
): NodeStep {
  const links = decodedLinks(bytes);
  if (links.length < bytes.length) {
    return nodeStep(state, { kind: 'blame', fault: { kind: 'malformedUpdate', culprit: from } });
  }
  const plan = planUpdate(state.tree, { links, authority: null });
  if (plan.kind === 'same' && leadsToNewerOwnKey(config, state, links))
    return requestUpdateOnce(state, from);
  // An earlier page may still be in flight.
  if (plan.kind !== 'verify') return nodeStep(state);
  // Seven elders send the same page: it is verified once.
  const id = segmentIdOf(bytes);
  if (!mayVerify(config, state, id, from)) return nodeStep(state);
  return nodeStep(
    { ...state, verifying: new Map(state.verifying).set(id, from) },
    {
      kind: 'compute',
      id: { kind: 'verifyLinks', hash: id },
      job: { kind: 'verifyLinks', job: plan.job },
    },
  );
}

/**
 * Adopts verified links; if the page leads towards our own section, requests the next one. N30: each link
 * is signed by the key before it, so a liar cannot prolong this beyond the number of handovers.
 */
export function onSegmentVerified(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  update: VerifiedUpdate,
): NodeStep {
  const from = state.verifying.get(id);
  const verifying = new Map(state.verifying);
  verifying.delete(id);
  const { flow: taken, isForked } = applyVerifiedLinks(config, { ...state, verifying }, update);
  if (isForked || from === undefined) return taken;
  const { links } = update.proof;
  return andThen(taken, (now) =>
    leadsToNewerOwnKey(config, now, links) ? requestUpdate(now, from) : nodeStep(now),
  );
}

/** Adds verified links, and the authority they end at, to the tree; no ledger is needed to contact it. */
export function applyVerifiedLinks(
  config: SectionNodeConfig,
  state: SectionNodeState,
  update: VerifiedUpdate,
): { readonly flow: NodeStep; readonly isForked: boolean } {
  const { tree, changed, fork } = learn(state.tree, update);
  if (fork !== null) {
    const output = { kind: 'forked', ...fork } as const;
    return { flow: nodeStep(state, { kind: 'output', output }), isForked: true };
  }
  const effects = [
    ...persistNewLinks(state.tree, tree),
    ...(changed ? learnedOutputs(config, update) : []),
  ];
  return { flow: nodeStep({ ...state, tree }, ...effects), isForked: false };
}

/** The authority of our own section is output only with its ledger, as `adopted`. */
function learnedOutputs(
  { name }: SectionNodeConfig,
  update: VerifiedUpdate,
): readonly NodeEffect[] {
  const { links, authority } = update.proof;
  const isInside = authority !== null && matches(authority.authority.prefix, name);
  if (isInside && links.length === 0) return [];
  const published = isInside ? trustedUpdate({ links, authority: null }) : update;
  return [{ kind: 'output', output: { kind: 'learned', update: published } }];
}

/** Do these known links lead to a newer key of our own section than the adopted one? */
function leadsToNewerOwnKey(
  { name }: SectionNodeConfig,
  { tree, own }: SectionNodeState,
  links: readonly SignedSuccessor[],
): boolean {
  if (own === null) return links.length > 0;
  const end = lastKeyOfPage({ links, authority: null }, name);
  const epoch = end === undefined ? null : epochOf(tree, end);
  return epoch !== null && epoch > own.state.authority.epoch;
}

const decodedLinks = (bytes: readonly Uint8Array[]): readonly SignedSuccessor[] =>
  bytes.flatMap((each) => {
    const link = decodeSuccessor(each);
    return link.ok ? [link.value] : [];
  });

const segmentIdOf = (bytes: readonly Uint8Array[]): string =>
  toHex(labelledHash('safe/v1/page-of-links', ...bytes));
