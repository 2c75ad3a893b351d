/**
 * Pictures of every state, for review: `node tests/e2e/ui/screenshots.ts [name part] [--no-build]` writes
 * test-results/screens/.
 */
import { mkdir } from 'node:fs/promises';
import { buildStage, openUiStage } from './stage.ts';
import { states } from './states.ts';

const words = process.argv.slice(2);
const wanted = words.find((word) => !word.startsWith('--')) ?? '';
const folder = new URL('../../../test-results/screens/', import.meta.url).pathname;
const looks = [
  { name: '360-light', width: 360, height: 740, scheme: 'light' },
  { name: '360-dark', width: 360, height: 740, scheme: 'dark' },
  { name: '1280-light', width: 1280, height: 800, scheme: 'light' },
  { name: '1280-dark', width: 1280, height: 800, scheme: 'dark' },
] as const;

await mkdir(folder, { recursive: true });
if (!words.includes('--no-build')) await buildStage();
const stage = await openUiStage();
for (const state of states.filter(({ name }) => name.includes(wanted))) {
  for (const look of looks) {
    const shown = await stage.open(state.scene, state.path, {
      viewport: { width: look.width, height: look.height },
      colorScheme: look.scheme,
      reducedMotion: 'reduce',
    });
    await state.act?.(shown.page);
    // The whole page: otherwise the bottom bar would cover its middle.
    if (look.width < 600) {
      await shown.page.evaluate(() =>
        document.querySelector('nav')?.style.setProperty('display', 'none'),
      );
    }
    await shown.page.screenshot({
      path: `${folder}${state.name}-${look.name}.png`,
      fullPage: true,
    });
    for (const complaint of shown.complaints)
      console.log(`${state.name} ${look.name}: ${complaint}`);
  }
}
await stage.close();
