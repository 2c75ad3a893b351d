/** One upload as this tab runs and shows it. */
import type { TransferState, TransferView } from '#bridge/vault.ts';
import type { UploadPlan } from '#safe/upload/plan.ts';

/** Speed is measured over the last few seconds, so that a pause shows and passes. */
const windowMs = 4_000;

export interface Meter {
  readonly set: (bytes: number) => void;
  readonly bytes: () => number;
  readonly bytesPerSecond: () => number;
}

/** Mutable: one object per transfer, changed by the upload that owns it. */
export interface Transfer {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly stored: Map<number, Uint8Array>;
  readonly meter: Meter;
  /** Fires on cancel, on failure and when the Safe is locked. */
  readonly cancelled: AbortController;
  plan: UploadPlan | null;
  file: File | null;
  failures: number;
  /** Once the plan is noted as one of this network. */
  bound: Promise<void> | null;
  state: TransferState;
  readonly show: (state: TransferState, sentence: string) => void;
  readonly view: () => TransferView;
}

export function showTransfer(
  id: string,
  name: string,
  size: number,
  now: () => number,
  closed: AbortSignal,
): Transfer {
  const cancelled = new AbortController();
  if (closed.aborted) cancelled.abort();
  closed.addEventListener('abort', () => cancelled.abort(), { once: true });
  let sentence = '';
  const meter = createMeter(now);
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
    bound: null,
    state: 'preparing',
    show: (state, why) => {
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

export function createMeter(now: () => number): Meter {
  let samples: { readonly at: number; readonly bytes: number }[] = [{ at: now(), bytes: 0 }];
  const latest = (): number => samples.at(-1)?.bytes ?? 0;
  return {
    bytes: latest,
    set: (bytes) => {
      const at = now();
      // Going back means another pass has begun: its speed is its own.
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
