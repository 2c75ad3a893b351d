/** Switches for end-to-end tests; offered only when started with `--test-controls` (README). */
import type { AdultService } from './adult-service.ts';
import type { JsonHandler } from './http-front.ts';

/** `POST /test/adult {"index": 0, "mode": "off" | "lie" | "ok"}`. */
export const adultSwitch =
  (adults: readonly AdultService[]): JsonHandler =>
  async (body) => {
    const { index, mode } = (body ?? {}) as { index?: unknown; mode?: unknown };
    const adult = typeof index === 'number' ? adults[index] : undefined;
    if (adult === undefined || (mode !== 'ok' && mode !== 'off' && mode !== 'lie')) {
      return { status: 400, body: { error: 'malformed', adults: adults.length } };
    }
    adult.setMode(mode);
    return { status: 200, body: { index, mode } };
  };
