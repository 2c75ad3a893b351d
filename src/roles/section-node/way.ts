/**
 * Pages of links without a state. N38: a ticket counts where its source's key is known. Sections tell
 * each other nothing of their handovers, so who comes with a ticket brings the links that lead to the
 * key that signed it. N31: whoever is further behind than one page is shown the way like this, too.
 */
import { matches } from '#address/prefix.ts';
import { toHex } from '#core/codec/bytes.ts';
import type { NodeId } from '#core/machine.ts';
import { labelledHash } from '#crypto/hash.ts';
import { endOfPage, pagesFor } from '#protocol/anti-entropy/index.ts';
import {
  chainBetween,
  decodeSuccessor,
  encodeSuccessor,
  epochOf,
  learn,
  maxChainLinks,
  planUpdate,
  sectionAt,
  sectionsOf,
  storedUpdate,
  type SectionAuthority,
  type SectionProof,
  type SectionTree,
  type SignedSuccessor,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';
import { after, flow, type Flow, type NodeEffect } from './flow.ts';
import { keepLinks, pagesOf } from './links.ts';
import type { NodePayload } from './messages.ts';
import type { SectionNodeConfig, SectionNodeFact, SectionNodeState } from './state.ts';
import { ask, askOnce } from './telling.ts';
import { mayVerify } from './verifying.ts';

/**
 * The links from the last key that lies behind both, by pages: whoever knows `known` can follow the
 * first one. A page that comes too early is refused, and said again in the next round.
 */
export function wayTo(
  tree: SectionTree,
  known: Uint8Array,
  key: Uint8Array,
): readonly NodePayload[] {
  const { genesisKey } = tree.anchor;
  const behind = chainBetween(tree, genesisKey, known) ?? [];
  const all = chainBetween(tree, genesisKey, key) ?? [];
  const passed = new Set(behind.map(({ record }) => toHex(record.parentKey)));
  const links = all.filter(({ record }) => !passed.has(toHex(record.parentKey)));
  const pages: NodePayload[] = [];
  for (let at = 0; at < links.length; at += maxChainLinks) {
    const page = links.slice(at, at + maxChainLinks).map(encodeSuccessor);
    pages.push({ kind: 'way', links: page });
  }
  return pages;
}

/** The newest authority of every section this node knows, with all that leads there from genesis. */
export const knownSections = ({ tree }: SectionNodeState): readonly KnownSection[] =>
  sectionsOf(tree).flatMap(({ prefix }) => {
    const signed = sectionAt(tree, prefix);
    if (signed === undefined) return [];
    const pages = pagesFor(tree, tree.anchor.genesisKey, signed);
    return [{ authority: signed.authority, pages }];
  });

export interface KnownSection {
  readonly authority: SectionAuthority;
  /** N31: in this order each can be followed; the last one holds the authority. */
  readonly pages: readonly SectionProof[];
}

/** The links on our own disk, for whoever leads clients: the shell keeps none of them. */
export function recalledWays(facts: readonly SectionNodeFact[]): readonly NodeEffect[] {
  const links = facts.flatMap((fact) => (fact.kind === 'links' ? fact.links : []));
  return pagesOf(decodedLinks(links)).map((page) => ({
    kind: 'output',
    output: { kind: 'learned', update: storedUpdate({ links: page, authority: null }) },
  }));
}

/** Links from a peer: paid for only if they are news and hang on a key that is known. */
export function shownWay(
  config: SectionNodeConfig,
  state: SectionNodeState,
  from: NodeId,
  bytes: readonly Uint8Array[],
): Flow {
  const links = decodedLinks(bytes);
  if (links.length < bytes.length) {
    return flow(state, { kind: 'blame', fault: { kind: 'malformedUpdate', culprit: from } });
  }
  const plan = planUpdate(state.tree, { links, authority: null });
  if (plan.kind === 'same' && leadsOn(config, state, links)) return askOnce(state, from);
  // An earlier page may be on its way.
  if (plan.kind !== 'verify') return flow(state);
  // Seven elders tell the same page: it is checked once.
  const id = `way/${idOf(bytes)}`;
  if (!mayVerify(config, state, id, from)) return flow(state);
  return flow(
    { ...state, verifying: new Map(state.verifying).set(id, from) },
    { kind: 'compute', id, job: { kind: 'verifyLinks', job: plan.job } },
  );
}

/**
 * Proven links; of a page on the way to our own section the next one is asked for. N30: every link is signed by the key before it, so no
 * liar can make this go on for longer than there were handovers.
 */
export function wayVerified(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  update: VerifiedUpdate,
): Flow {
  const from = state.verifying.get(id);
  const verifying = new Map(state.verifying);
  verifying.delete(id);
  const { flow: taken, isForked } = learnt(config, { ...state, verifying }, update);
  if (isForked || from === undefined) return taken;
  const { links } = update.proof;
  return after(taken, (now) => (leadsOn(config, now, links) ? ask(now, from) : flow(now)));
}

/** Proven links and the authority they end at: a client's half of it, enough to ask there. */
export function learnt(
  config: SectionNodeConfig,
  state: SectionNodeState,
  update: VerifiedUpdate,
): { readonly flow: Flow; readonly isForked: boolean } {
  const { tree, news, fork } = learn(state.tree, update);
  if (fork !== null) {
    const output = { kind: 'forked', ...fork } as const;
    return { flow: flow(state, { kind: 'output', output }), isForked: true };
  }
  const effects = [...keepLinks(state.tree, tree), ...(news ? told(config, update) : [])];
  return { flow: flow({ ...state, tree }, ...effects), isForked: false };
}

/** Of our own section nothing is said before its ledger has come: then it is `adopted`. */
function told({ name }: SectionNodeConfig, update: VerifiedUpdate): readonly NodeEffect[] {
  const { links, authority } = update.proof;
  const isInside = authority !== null && matches(authority.authority.prefix, name);
  if (isInside && links.length === 0) return [];
  const shown = isInside ? storedUpdate({ links, authority: null }) : update;
  return [{ kind: 'output', output: { kind: 'learned', update: shown } }];
}

/** Do these known links lead to a later key of our own section than the one we work under? */
function leadsOn(
  { name }: SectionNodeConfig,
  { tree, own }: SectionNodeState,
  links: readonly SignedSuccessor[],
): boolean {
  if (own === null) return links.length > 0;
  const end = endOfPage({ links, authority: null }, name);
  const epoch = end === undefined ? null : epochOf(tree, end);
  return epoch !== null && epoch > own.state.authority.epoch;
}

const decodedLinks = (bytes: readonly Uint8Array[]): readonly SignedSuccessor[] =>
  bytes.flatMap((each) => {
    const link = decodeSuccessor(each);
    return link.ok ? [link.value] : [];
  });

const idOf = (bytes: readonly Uint8Array[]): string =>
  toHex(labelledHash('safe/v1/page-of-links', ...bytes));
