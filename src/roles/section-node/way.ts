/**
 * N38: a ticket counts where its source's key is known. Sections tell each other nothing of their
 * handovers, so who comes with a ticket brings the links that lead to the key that signed it.
 */
import { toHex } from '#core/codec/bytes.ts';
import type { Context, NodeId } from '#core/machine.ts';
import {
  chainBetween,
  decodeSuccessor,
  encodeSuccessor,
  learn,
  maxChainLinks,
  planUpdate,
  type SectionTree,
  type VerifiedUpdate,
} from '#protocol/section/index.ts';
import { stepAgreement } from './desk.ts';
import { after, flow, type Flow } from './flow.ts';
import { keepLinks } from './links.ts';
import type { NodePayload } from './messages.ts';
import type { SectionNodeConfig, SectionNodeState } from './state.ts';
import { maxVerifying } from './verifying.ts';

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

/** Links from a peer: paid for only if they are news and hang on a key that is known. */
export function shownWay(
  state: SectionNodeState,
  from: NodeId,
  bytes: readonly Uint8Array[],
): Flow {
  const links = bytes.flatMap((each) => {
    const link = decodeSuccessor(each);
    return link.ok ? [link.value] : [];
  });
  if (links.length < bytes.length) {
    return flow(state, { kind: 'blame', fault: { kind: 'malformedUpdate', culprit: from } });
  }
  const plan = planUpdate(state.tree, { links, authority: null });
  // An earlier page may be on its way.
  if (plan.kind !== 'verify') return flow(state);
  const id = `way/${from}`;
  if (state.verifying.has(id) || state.verifying.size >= maxVerifying) return flow(state);
  return flow(
    { ...state, verifying: new Map(state.verifying).set(id, from) },
    { kind: 'compute', id, job: { kind: 'verifyLinks', job: plan.job } },
  );
}

/** Proven links: a ticket that waited for its source can be judged now (N9). */
export function wayVerified(
  config: SectionNodeConfig,
  state: SectionNodeState,
  id: string,
  update: VerifiedUpdate,
  context: Context,
): Flow {
  const verifying = new Map(state.verifying);
  verifying.delete(id);
  const { tree, fork } = learn(state.tree, update);
  if (fork !== null) {
    return flow({ ...state, verifying }, { kind: 'output', output: { kind: 'forked', ...fork } });
  }
  const kept = keepLinks(state.tree, tree);
  return after(flow({ ...state, tree, verifying }, ...kept), (now) =>
    stepAgreement(config, now, { kind: 'input', input: { kind: 'retry' } }, context),
  );
}
