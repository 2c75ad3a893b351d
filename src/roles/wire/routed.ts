/**
 * Routing of client requests at an elder: checks the section key that a request names before the
 * request is executed (ANTI-ENTROPY-E1–E3). A client's connection is authenticated before it can ask,
 * so one page of proof per request is no amplification risk (N31).
 */
import { matches } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import type { Refusal } from '#core/refusal.ts';
import { err, ok, type Result } from '#core/result.ts';
import {
  encodeProof,
  checkDestination,
  chainPageFor,
  type SectionKnowledge,
} from '#protocol/anti-entropy/index.ts';
import { closestSection, authorityAt, sectionFor, trustFor } from '#protocol/section/index.ts';
import {
  decodeClientRequest,
  requestTarget,
  type ClientRequest,
  type RoutingRequest,
} from './client.ts';

/** All sections this elder knows, and the current state of its own. */
export type RoutingView = SectionKnowledge;

/**
 * @param inner the decoded inner request, if the caller has it already.
 * @returns the inner request if it is for this section and key; otherwise a refusal with a proof.
 */
export function openRouted(
  view: RoutingView,
  { key, generation, request }: Extract<RoutingRequest, { kind: 'routed' }>,
  inner: Result<ClientRequest, unknown> = decodeClientRequest(request),
): Result<ClientRequest, Refusal> {
  if (!inner.ok) return err({ kind: 'malformed', what: 'request' });
  const { prefix } = view.own.authority;
  // A request without a target concerns the elder's own section.
  const name = toXorName(requestTarget(inner.value) ?? prefix.bits);
  const destination = { destinationName: name, destinationKey: key, generation };
  const check = checkDestination(view, destination);
  switch (check.kind) {
    case 'accept':
      return ok(inner.value);
    case 'retry':
    case 'redirect':
      return err({ kind: check.kind, proof: encodeProof(check.proof) });
    case 'unknownKey': {
      const links = check.record === null ? [] : [check.record];
      const kind = matches(prefix, name) ? 'retry' : 'redirect';
      return err({ kind, proof: encodeProof({ links, authority: null }) });
    }
  }
}

/** One page of the chain from a key to the section of a name, and that section's elders. */
export function proofFor(
  { tree, own }: RoutingView,
  name: Uint8Array,
  from: Uint8Array,
): { readonly proof: Uint8Array; readonly elders: readonly Uint8Array[] } {
  const { authority } = own;
  const closest = matches(authority.prefix, name)
    ? authority
    : (sectionFor(tree, name) ?? closestSection(tree, name, authority.prefix) ?? authority);
  const shown = authorityAt(tree, closest.prefix) ?? own;
  // For an unknown key the page begins at genesis.
  const known = trustFor(tree, from) === undefined ? tree.anchor.genesisKey : from;
  return {
    proof: encodeProof(chainPageFor(tree, known, shown)),
    elders: shown.authority.elders.map((elder) => elder.name),
  };
}
