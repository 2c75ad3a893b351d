/**
 * Messages between the RTC proxy (service worker) and the host (page), over one MessagePort. The worker
 * chooses all ids. Bytes travel as transferred ArrayBuffers.
 */

// Workers have no DOM types for these fields.
export type SdpType = 'offer' | 'answer' | 'pranswer' | 'rollback';
export type ConnectionState =
  'new' | 'connecting' | 'connected' | 'disconnected' | 'failed' | 'closed';
export type ChannelReadyState = 'connecting' | 'open' | 'closing' | 'closed';

export interface IceServer {
  readonly urls: string | string[];
}

export interface ChannelOptions {
  readonly ordered?: boolean;
  readonly maxRetransmits?: number;
  readonly protocol?: string;
  readonly negotiated?: boolean;
  readonly id?: number;
}

export interface Candidate {
  readonly candidate?: string;
  readonly sdpMid?: string | null;
  readonly sdpMLineIndex?: number | null;
  readonly usernameFragment?: string | null;
}

export interface Description {
  readonly type: SdpType;
  readonly sdp: string;
}

/** Worker → page. `call` is present when the worker waits for `answered`. */
export type ToHost =
  | { readonly op: 'ping'; readonly call: number }
  | { readonly op: 'generateCertificate'; readonly call: number; readonly id: number }
  | {
      readonly op: 'create';
      readonly id: number;
      readonly iceServers: readonly IceServer[];
      readonly certificateIds: readonly number[];
    }
  | {
      readonly op: 'createDataChannel';
      readonly id: number;
      readonly channel: number;
      readonly label: string;
      readonly options: ChannelOptions;
    }
  | { readonly op: 'createOffer'; readonly call: number; readonly id: number }
  | { readonly op: 'createAnswer'; readonly call: number; readonly id: number }
  | {
      readonly op: 'setLocalDescription';
      readonly call: number;
      readonly id: number;
      readonly description: Description | null;
    }
  | {
      readonly op: 'setRemoteDescription';
      readonly call: number;
      readonly id: number;
      readonly description: Description;
    }
  | {
      readonly op: 'addIceCandidate';
      readonly call: number;
      readonly id: number;
      readonly candidate: Candidate | null;
    }
  | { readonly op: 'close'; readonly id: number }
  | { readonly op: 'sendOnChannel'; readonly channel: number; readonly data: ArrayBuffer }
  | { readonly op: 'lowThreshold'; readonly channel: number; readonly bytes: number }
  | { readonly op: 'closeChannel'; readonly channel: number };

export interface ChannelState {
  readonly readyState: ChannelReadyState;
  readonly channelId: number | null;
  readonly bufferedAmount: number;
  /** Bytes given to the real channel since the last report: they are no longer in transit. */
  readonly sentBytes: number;
}

/** Page → worker. */
export type FromHost =
  | { readonly kind: 'answered'; readonly call: number; readonly value: unknown }
  | {
      readonly kind: 'refused';
      readonly call: number;
      readonly name: string;
      readonly message: string;
    }
  /** Connections made since the tab was opened, and how many of them are open. */
  | { readonly kind: 'count'; readonly used: number; readonly open: number }
  | {
      readonly kind: 'connectionState';
      readonly id: number;
      readonly state: ConnectionState;
    }
  | {
      readonly kind: 'candidate';
      readonly id: number;
      readonly candidate: Candidate | null;
    }
  | {
      readonly kind: 'channelOffered';
      readonly id: number;
      readonly channel: number;
      readonly label: string;
      readonly protocol: string;
      readonly state: ChannelState;
    }
  | {
      readonly kind: 'channel';
      readonly channel: number;
      readonly event: 'open' | 'closing' | 'close' | 'error' | 'bufferedamountlow';
      readonly state: ChannelState;
    }
  | { readonly kind: 'sent'; readonly channel: number; readonly state: ChannelState }
  | { readonly kind: 'message'; readonly channel: number; readonly data: ArrayBuffer };

/** Ids of channels that the remote opens start here, so they never collide with the worker's own. */
export const firstOfferedChannel = 1_000_000_000;
