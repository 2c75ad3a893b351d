/**
 * The elder's half of following for clients: a request that names the key it was made for is looked
 * at before it is opened (anti-entropy E1–E3). A client's connection is encrypted to the key it
 * dialled, so it heard us before it asked: one answer of one page per request is all (N31).
 */
import { matches } from '#address/prefix.ts';
import { toXorName } from '#address/xor-name.ts';
import type { Refusal } from '#core/refusal.ts';
import { err, ok, type Result } from '#core/result.ts';
import { encodeProof, lookAt, pageFor, type Known } from '#protocol/anti-entropy/index.ts';
import { closestSection, sectionAt, sectionFor, trustFor } from '#protocol/section/index.ts';
import { decodeClientRequest, destinationOf, type ClientRequest, type Cover } from './client.ts';

/** The sections an elder knows, and its own as it is now. */
export type UnderView = Known;

/** The request inside, when it is for us and made under our key; else why not, with the proof. */
export function openUnder(
  view: UnderView,
  { key, generation, request }: Extract<Cover, { kind: 'under' }>,
): Result<ClientRequest, Refusal> {
  const inner = decodeClientRequest(request);
  if (!inner.ok) return err({ kind: 'malformed', what: 'request' });
  const { prefix } = view.own.authority;
  // What any elder may answer is about its own section.
  const name = toXorName(destinationOf(inner.value) ?? prefix.bits);
  const cover = { destinationName: name, destinationKey: key, generation };
  const looked = lookAt(view, cover);
  switch (looked.kind) {
    case 'accept':
      return ok(inner.value);
    case 'retry':
    case 'redirect':
      return err({ kind: looked.kind, proof: encodeProof(looked.proof) });
    case 'newest': {
      const links = looked.record === null ? [] : [looked.record];
      const kind = matches(prefix, name) ? 'retry' : 'redirect';
      return err({ kind, proof: encodeProof({ links, authority: null }) });
    }
  }
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
