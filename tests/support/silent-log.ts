/** A log for nodes whose log lines the test does not check. */
import type { Log } from '#node/monitoring/log.ts';

export const silentLog: Log = { write: () => undefined, close: () => undefined };
