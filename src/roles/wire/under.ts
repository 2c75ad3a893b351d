/**
 * The elder's half of following for clients: a request that names the key it was made for is looked
 * at before it is opened (anti-entropy E1, E2, E5). A client's connection is encrypted to the key it
 * dialled, so it heard us before it asked: no token is needed, and one answer per request is all.
 */
import { matches } from '#address/prefix.ts';
import { equalBytes } from '#core/codec/bytes.ts';
import type { Refusal } from '#core/refusal.ts';
import { err, ok, type Result } from '#core/result.ts';
import { encodeProof, pageFor } from '#protocol/anti-entropy/index.ts';
import {
  closestSection,
  sectionAt,
  sectionFor,
  trustFor,
  type SectionTree,
  type SignedAuthority,
} from '#protocol/section/index.ts';
import { decodeClientRequest, destinationOf, type ClientRequest, type Cover } from './client.ts';

export interface UnderView {
  readonly tree: SectionTree;
  /** The elder's own section now. */
  readonly own: Omit<SignedAuthority, 'chain'>;
}

/** The request inside, when it is for us and made under our key; else why not, with the proof. */
export function openUnder(
  view: UnderView,
  { key, request }: Extract<Cover, { kind: 'under' }>,
): Result<ClientRequest, Refusal> {
  const inner = decodeClientRequest(request);
  if (!inner.ok) return err({ kind: 'malformed', what: 'request' });
  const { authority } = view.own;
  const name = destinationOf(inner.value);
  const isOurs = name === null || matches(authority.prefix, name);
  if (isOurs && equalBytes(key, authority.key)) return ok(inner.value);
  if (isOurs) return err({ kind: 'retry', proof: encodeProof(pageFor(view.tree, key, view.own)) });
  return err({ kind: 'redirect', proof: proofFor(view, name, key).proof });
}

/** What leads from a key to the section of a name, as far as one page goes. */
export function proofFor(
  { tree, own }: UnderView,
  name: Uint8Array,
  from: Uint8Array,
): { readonly proof: Uint8Array; readonly elders: readonly Uint8Array[] } {
  const { authority } = own;
  const closest = matches(authority.prefix, name)
    ? authority
    : (sectionFor(tree, name) ?? closestSection(tree, name, authority.prefix) ?? authority);
  const shown = sectionAt(tree, closest.prefix) ?? own;
  // An unknown key is no ancestor of anything: it is led from genesis on.
  const known = trustFor(tree, from) === undefined ? tree.anchor.genesisKey : from;
  return {
    proof: encodeProof(pageFor(tree, known, shown)),
    elders: shown.authority.elders.map((elder) => elder.name),
  };
}
