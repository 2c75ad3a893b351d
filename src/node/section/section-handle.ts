/**
 * The interface between a node and its section's machine: takes messages and observations, and reports
 * the node's role.
 */
import type { NodeId } from '#core/machine.ts';
import type { SectionAuthority, SignedAuthority, VerifiedUpdate } from '#protocol/section/index.ts';
import type { SectionNodeInput, SectionNodeOutput } from '#roles/section-node/state.ts';

export type NodeRole = 'elder' | 'adult' | 'outsider';

/** The node's standing under the newest sealed state it holds. */
export interface NodeStanding {
  readonly role: NodeRole;
  readonly signed: SignedAuthority;
  /** The last state under the previous key; null for the first. */
  readonly previous: SectionAuthority | null;
  /** An elder's share of the section key, 32 bytes, and its index; null for other nodes. */
  readonly share: { readonly secretShare: Uint8Array; readonly index: number } | null;
}

/** Requests of a handover to the money of its key. */
export type MoneyOutput = Extract<
  SectionNodeOutput,
  { readonly kind: 'sealMoney' | 'fetch' | 'serve' | 'page' | 'merge' | 'release' }
>;

/** Called by the section's machine. */
export interface SectionCallbacks {
  readonly send: (to: NodeId, message: Uint8Array, kind: string) => void;
  /** The role, the state or the key has changed. */
  readonly onAdopted: (standing: NodeStanding) => void;
  /** Why the section did not admit this node, as a sentence with a next step. */
  readonly onJoinRefused: (sentence: string) => void;
  /** Voted out: under this name it can never be a member again. */
  readonly onRemoved: () => void;
  /** The node must relocate: the age and destination of its new name, and the certificate for it. */
  readonly onRelocate: (move: {
    readonly certificate: Uint8Array;
    readonly age: number;
    readonly destination: Uint8Array;
  }) => void;
  /** HANDOVER-R6: the result returns as an input. */
  readonly money: (output: MoneyOutput, answer: (input: SectionNodeInput) => void) => void;
  /** Proven links, and the newest state of another section if they lead to one. */
  readonly onUpdate: (update: VerifiedUpdate) => void;
  /** A change by a decision, for screen and log. */
  readonly onEvent: (kind: string, generation: bigint) => void;
  /** N10: this node lost state that it had signed; it abstains until the next key. */
  readonly onStateLost: () => void;
  /** A bug of this node: it must stop; its facts are on disk. */
  readonly onFailure: (error: unknown) => void;
  readonly blamed: (kind: string, culprit: NodeId) => void;
}

export interface SectionHandle {
  /**
   * Resolves when the message has been handled, so that a flood meets backpressure. False when no
   * program of ours sends it, in whatever old state.
   */
  readonly receive: (from: NodeId, message: Uint8Array) => Promise<boolean>;
  /** N39: sets the vacancies that storage needs; null: none. `once`: until they are filled. */
  readonly setVacancies: (places: number | null, until?: 'once') => void;
  /** An input of the machine, unchanged. */
  readonly input: (input: SectionNodeInput) => void;
  /** N7: a local observation of a member; it only decides what this node endorses. */
  readonly misbehaved: (name: NodeId, issue: Misbehaviour) => void;
  readonly stop: () => void;
}

/** Null until the section's machine runs: it starts last, because it calls the node's other parts. */
export interface SectionSlot {
  handle: SectionHandle | null;
}

/** Missing copies may be accidents; false bytes are not (FAULT-F10). */
export type Misbehaviour = Extract<SectionNodeInput, { readonly kind: 'misbehaved' }>['issue'];

export type OpenSection = (ports: SectionCallbacks) => Promise<SectionHandle>;
