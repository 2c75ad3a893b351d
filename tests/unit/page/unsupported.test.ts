/** Goal: a page that lacks what Safe needs shows a sentence, whatever else it lacks. */
import { afterEach, expect, test, vi } from 'vitest';
import { startSafeApp } from '../../../src/page/app.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

test.each([
  ['a page on plain http', {}, /no service worker/],
  ['a browser without locks', { serviceWorker: {} }, /too old/],
])('%s shows what is missing', (_, offered, sentence) => {
  vi.stubGlobal('navigator', { onLine: true, ...offered });
  vi.stubGlobal('RTCPeerConnection', class {});
  vi.stubGlobal('addEventListener', () => undefined);
  let shown: string | null = null;
  startSafeApp().onShell(({ unsupported }) => {
    shown = unsupported;
  });
  expect(shown).toMatch(sentence);
});
