/**
 * Estimates passwords beside the vault: the dictionaries take a second to load and 100 MB of memory, so it
 * is started when a password is chosen, and ended afterwards. Nothing is stored or sent.
 */
import { createEstimator } from './estimate.ts';

declare const self: DedicatedWorkerGlobalScope;

const estimate = createEstimator();

self.onmessage = ({ data }: MessageEvent<string>) => self.postMessage(estimate(data));
