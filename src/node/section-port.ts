/**
 * Between a node and what it has agreed on with others: the section's machine behind one small
 * door. Whatever opens it hears messages and observations and says which role the node has.
 */
import type { NodeId } from '#core/machine.ts';
import type { SectionAuthority, SignedAuthority, VerifiedUpdate } from '#protocol/section/index.ts';
import type { SectionNodeInput, SectionNodeOutput } from '#roles/section-node/state.ts';

export type NodeRole = 'elder' | 'adult' | 'outsider';

/** What the node is, by the newest sealed state it holds. */
export interface Standing {
  readonly role: NodeRole;
  readonly signed: SignedAuthority;
  /** The last state under the key before; null for the first. */
  readonly previous: SectionAuthority | null;
  /** An elder's share of the section key, 32 bytes, and its index; null for everybody else. */
  readonly share: { readonly secretShare: Uint8Array; readonly index: number } | null;
}

/** What the money of an ending key has to do. */
export type MoneyOutput = Extract<
  SectionNodeOutput,
  { readonly kind: 'sealMoney' | 'fetch' | 'serve' | 'page' | 'merge' | 'release' }
>;

/** What the section asks of the node around it. */
export interface SectionPorts {
  readonly send: (to: NodeId, message: Uint8Array, kind: string) => void;
  /** The role, the state or the key is another one now. */
  readonly adopted: (standing: Standing) => void;
  /** Why the section did not take this node in, as a sentence with a next step. */
  readonly refusedJoin: (sentence: string) => void;
  /** Voted out: under this name it is no member ever again. */
  readonly removed: () => void;
  /** The node must move: a new name with this prefix and age, and the ticket that lets it in. */
  readonly relocate: (move: {
    readonly ticket: Uint8Array;
    readonly age: number;
    readonly destination: Uint8Array;
  }) => void;
  /** R6: the answer comes back as an input. */
  readonly money: (output: MoneyOutput, answer: (input: SectionNodeInput) => void) => void;
  /** Proven links, and the newest state of another section if they lead to one. */
  readonly learned: (update: VerifiedUpdate) => void;
  /** What a decision changed, for screen and log. */
  readonly happened: (kind: string, generation: bigint) => void;
  /** N10: the store is older than what this node said; it is silent until the next key. */
  readonly forgot: () => void;
  /** Our own bug: the node must end, its facts are on disk. */
  readonly failed: (error: unknown) => void;
  readonly blamed: (kind: string, culprit: NodeId) => void;
}

export interface SectionPort {
  /**
   * Resolves when the message has been handled, so that a flood meets back-pressure. False when no
   * program of ours sends this, however old its state is.
   */
  readonly receive: (from: NodeId, message: Uint8Array) => Promise<boolean>;
  /** N39: how many join places storage needs now; null for "no more". `once`: until they are given. */
  readonly storage: (places: number | null, until?: 'once') => void;
  /** What the node around it has to say, in the machine's own words. */
  readonly tell: (input: SectionNodeInput) => void;
  /** N7: what this node saw a member do; it only decides what this node endorses. */
  readonly misbehaved: (name: NodeId, issue: Misbehaviour) => void;
  readonly stop: () => void;
}

/** An empty promise may be a bad day; a falsehood is none (fault-detection, F10). */
export type Misbehaviour = Extract<SectionNodeInput, { readonly kind: 'misbehaved' }>['issue'];

export type OpenSection = (ports: SectionPorts) => Promise<SectionPort>;
