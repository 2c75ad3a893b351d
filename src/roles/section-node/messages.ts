/**
 * What nodes say to each other. Every message is the payload of an envelope that names its receiver
 * and the section key and generation its sender knows (N32), so that whoever is behind is told.
 */
import type { AgreementMessage, Word } from '#protocol/agreement/index.ts';
import type { DkgMessage } from '#protocol/dkg/index.ts';
import type { HandoverMessage } from '#protocol/handover/index.ts';
import type { ReadyProof } from '#protocol/membership/index.ts';

/** What the elders' shares of one generation sign, in this order. */
export type ShareOf = 'churn' | 'seal';

export type NodePayload =
  /** Elder to elder: the agreement on one generation. */
  | { readonly kind: 'agreement'; readonly generation: bigint; readonly message: AgreementMessage }
  /** Elder to elder: a share of the section's signature. */
  | {
      readonly kind: 'share';
      readonly generation: bigint;
      readonly of: ShareOf;
      readonly signature: Uint8Array;
    }
  /** Elder to elder: "I would vote for this act in this generation" (N7). */
  | {
      readonly kind: 'endorse';
      readonly generation: bigint;
      readonly body: Uint8Array;
      readonly signature: Uint8Array;
    }
  /** Candidate to candidate: the key generation of one child of a session. */
  | {
      readonly kind: 'dkg';
      readonly session: Uint8Array;
      readonly child: number;
      readonly message: DkgMessage;
    }
  /** Candidate to elder: a key is made and its holders can sign. */
  | {
      readonly kind: 'ready';
      readonly session: Uint8Array;
      readonly child: number;
      readonly proof: ReadyProof;
    }
  /** Old elders and heirs of one key. */
  | { readonly kind: 'handover'; readonly key: Uint8Array; readonly message: HandoverMessage }
  /** Anti-entropy: a sealed state with the chain that leads to it. */
  | { readonly kind: 'update'; readonly sealed: Uint8Array }
  /** N10: an elder that has just started asks what the others hold of it. */
  | { readonly kind: 'recall'; readonly generation: bigint }
  | { readonly kind: 'recalled'; readonly generation: bigint; readonly words: readonly Word[] }
  /** Are you there? The envelope says what the asker knows. */
  | { readonly kind: 'ping'; readonly round: number }
  | { readonly kind: 'pong'; readonly round: number }
  /** The body of the act that the sender wants decided: its own joining. */
  | { readonly kind: 'join'; readonly body: Uint8Array }
  /**
   * A page of ≤ 16 encoded records, in order: to the key that signed the sender's ticket (N38), or
   * what follows the key that the receiver named (N31).
   */
  | { readonly kind: 'way'; readonly links: readonly Uint8Array[] }
  | { readonly kind: 'joinRefused'; readonly reason: JoinRefusal }
  /** A member that has to move asks for its ticket. */
  | { readonly kind: 'askTicket'; readonly ticket: Uint8Array }
  | { readonly kind: 'ticketShare'; readonly signature: Uint8Array };

export type JoinRefusal =
  /** N39: the section has no place to give; ask again later. */
  | 'noPlaces'
  /** The name does not begin with the section's prefix. */
  | 'wrongSection'
  /** The last byte of the name is not the age it may have. */
  | 'wrongAge'
  /** The elder could not reach the node at its addresses (N40). */
  | 'unreachable'
  | 'departed'
  | 'wrongProof';

/**
 * What a machine sends and receives. On the wire the shell adds the receiver's name and a message id
 * and signs all of it (N32); here sender and receiver are known already.
 */
export interface NodeMessage {
  /** The receiver's section key as the sender knows it, 96 bytes; zeros when it knows none. */
  readonly key: Uint8Array;
  /** The newest generation the sender knows under that key. */
  readonly generation: bigint;
  readonly payload: NodePayload;
}
