/**
 * Messages between nodes. Each is the payload of an envelope that names the receiver, and the section
 * key and generation known to the sender (N32), so that a node with older state gets an update.
 */
import type { AgreementMessage, SignedStatement } from '#protocol/agreement/index.ts';
import type { DkgMessage } from '#protocol/dkg/index.ts';
import type { HandoverMessage } from '#protocol/handover/index.ts';
import type { ReadyProof } from '#protocol/membership/index.ts';

/** What the signature shares of one generation sign, in this order. */
export type SharePurpose = 'churn' | 'seal';

export type NodePayload =
  /** Elder to elder: the agreement on one generation. */
  | { readonly kind: 'agreement'; readonly generation: bigint; readonly message: AgreementMessage }
  /** Elder to elder: a share of the section's signature, 48 bytes. */
  | {
      readonly kind: 'share';
      readonly generation: bigint;
      readonly of: SharePurpose;
      readonly signature: Uint8Array;
    }
  /** Elder to elder: an endorsement of an act for this generation (N7). */
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
  /** Candidate to elder: proves that a key is ready and its holders can sign (N13). */
  | {
      readonly kind: 'ready';
      readonly session: Uint8Array;
      readonly child: number;
      readonly proof: ReadyProof;
    }
  /** Between old and successor elders of one key. */
  | { readonly kind: 'handover'; readonly key: Uint8Array; readonly message: HandoverMessage }
  /** Anti-entropy: a sealed state with the chain to it. */
  | { readonly kind: 'update'; readonly sealed: Uint8Array }
  /** N10: a restarted elder asks for its own statements. */
  | { readonly kind: 'stateQuery'; readonly generation: bigint }
  | {
      readonly kind: 'stateAnswer';
      readonly generation: bigint;
      readonly statements: readonly SignedStatement[];
    }
  /** Liveness probe; its envelope carries the sender's key and generation. */
  | { readonly kind: 'ping'; readonly round: number }
  | { readonly kind: 'pong'; readonly round: number }
  /** A join request: the body of the sender's join act. */
  | { readonly kind: 'join'; readonly body: Uint8Array }
  /**
   * A chain segment of at most 16 encoded records, in order: to the key that signed the sender's
   * relocation certificate (N38), or after the key that the receiver named (N31).
   */
  | { readonly kind: 'chainSegment'; readonly links: readonly Uint8Array[] }
  | { readonly kind: 'joinRefused'; readonly reason: JoinRefusal }
  /** A relocating node asks for shares of its relocation certificate; `certificateId` is its id. */
  | { readonly kind: 'requestCertificateShare'; readonly certificateId: Uint8Array }
  | { readonly kind: 'certificateShare'; readonly signature: Uint8Array };

export type JoinRefusal =
  /** N39: the section has no vacancy; ask again later. */
  | 'noVacancy'
  /** The name does not begin with the section's prefix. */
  | 'wrongSection'
  /** The last byte of the name is not the required age. */
  | 'wrongAge'
  /** The elder could not reach the node at its addresses (N40). */
  | 'unreachable'
  | 'departed'
  | 'wrongProof';

/**
 * A message as the machine sends and receives it. On the wire the shell adds sender, receiver and a
 * message id and signs the envelope (N32).
 */
export interface NodeMessage {
  /** The receiver's section key as the sender knows it, 96 bytes. */
  readonly key: Uint8Array;
  /** The newest generation the sender knows under that key. */
  readonly generation: bigint;
  readonly payload: NodePayload;
}
