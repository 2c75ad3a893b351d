/** One upload as this tab runs and shows it. */
import type { TransferState, TransferView } from '#bridge/vault.ts';
import type { UploadPlan } from '#safe/upload/upload-plan.ts';

/** Speed is measured over the last few seconds, so that a pause shows and passes. */
const windowMs = 4_000;

export interface SpeedMeter {
  readonly update: (bytes: number) => void;
  readonly bytes: () => number;
  readonly bytesPerSecond: () => number;
}

/** Mutable: one object per transfer, changed by the upload that owns it. */
export interface Transfer {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly stored: Map<number, Uint8Array>;
  readonly meter: SpeedMeter;
  /** Fires when nothing more may be sent: on cancel, on failure and on Lock (uploads.ts). */
  readonly cancelled: AbortController;
  plan: UploadPlan | null;
  file: File | null;
  failures: number;
  /** Settles when the plan is stored as one of this network. */
  networkBound: Promise<void> | null;
  state: TransferState;
  readonly setState: (state: TransferState, sentence: string) => void;
  readonly view: () => TransferView;
}

export function createTransfer(
  id: string,
  name: string,
  size: number,
  now: () => number,
  closed: AbortSignal,
): Transfer {
  const cancelled = new AbortController();
  if (closed.aborted) cancelled.abort();
  let sentence = '';
  const meter = createSpeedMeter(now);
  const transfer: Transfer = {
    id,
    name,
    size,
    stored: new Map(),
    meter,
    cancelled,
    plan: null,
    file: null,
    failures: 0,
    networkBound: null,
    state: 'preparing',
    setState: (state, why) => {
      transfer.state = state;
      sentence = why;
    },
    view: () => ({
      id,
      name,
      size,
      doneBytes: meter.bytes(),
      bytesPerSecond: transfer.state === 'sending' ? meter.bytesPerSecond() : 0,
      state: transfer.state,
      sentence,
    }),
  };
  return transfer;
}

export function createSpeedMeter(now: () => number): SpeedMeter {
  let samples: { readonly at: number; readonly bytes: number }[] = [{ at: now(), bytes: 0 }];
  const latest = (): number => samples.at(-1)?.bytes ?? 0;
  return {
    bytes: latest,
    update: (bytes) => {
      const at = now();
      // Fewer bytes mean that another pass has begun: measure its speed separately.
      if (bytes < latest()) samples = [];
      samples.push({ at, bytes });
      while (samples.length > 2 && (samples[0]?.at ?? at) < at - windowMs) samples.shift();
    },
    bytesPerSecond: () => {
      const [first] = samples;
      if (first === undefined) return 0;
      const seconds = Math.max(1, now() - first.at) / 1000;
      return Math.round((latest() - first.bytes) / seconds);
    },
  };
}
