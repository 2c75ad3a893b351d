/** Replaces the worker's libp2p host: sends bytes to elders in memory. */
import type { LightHost, LightHostOptions } from '../../../src/network/light-host.ts';
import { askElder } from '../browser/browser.ts';

export async function createLightHost(_options: LightHostOptions): Promise<LightHost> {
  return {
    ask: (elder, request) => askElder(elder.name, request),
    askBootstrap: (_index, request) => askElder(null, request),
    view: () => ({
      transport: 'websocket',
      state: 'connected',
      roundTripMs: 1,
      bytesIn: 0,
      bytesOut: 0,
    }),
    isBackingOff: () => false,
    reconnectByPreference: () => undefined,
    stop: async () => undefined,
  };
}
