/** Counters per message kind and outcome, as Prometheus reads them. No label carries a person. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface Metrics {
  /** `name` and `kind` come from our own code, never from a peer. */
  readonly count: (name: string, kind: string, by?: number) => void;
  /** A value that is looked up whenever somebody asks; of two with one name the last counts. */
  readonly gauge: (name: string, read: () => number) => void;
  readonly toText: () => string;
  /** The same numbers for a line of the log: `name` or `name/kind`. */
  readonly toNumbers: () => Readonly<Record<string, number>>;
  readonly stop: () => void;
}

export function createMetrics(): Metrics {
  const counts = new Map<string, number>();
  const gauges = new Map<string, () => number>();
  const started = Date.now();
  // The longest time the main thread answered nobody, since the last look.
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();

  const rows = (): readonly (readonly [name: string, kind: string, value: number])[] => {
    const memory = process.memoryUsage();
    const cpu = process.cpuUsage();
    const longest = delay.max / 1e6;
    delay.reset();
    return [
      ['safe_longest_pause_ms', '', Math.round(longest)],
      ['safe_uptime_seconds', '', Math.round((Date.now() - started) / 1000)],
      ['safe_memory_bytes', 'rss', memory.rss],
      ['safe_memory_bytes', 'heap', memory.heapUsed],
      ['safe_cpu_seconds_total', '', (cpu.user + cpu.system) / 1e6],
      ...[...gauges].map(([name, read]) => [name, '', read()] as const),
      ...[...counts].sort().map(([key, value]) => {
        const [name = '', kind = ''] = key.split(' ');
        return [name, kind, value] as const;
      }),
    ];
  };

  return {
    count: (name, kind, by = 1) => {
      const key = `${name} ${kind}`;
      counts.set(key, (counts.get(key) ?? 0) + by);
    },
    gauge: (name, read) => void gauges.set(name, read),
    toText: () =>
      rows()
        .map(([name, kind, value]) => `${name}${kind === '' ? '' : `{kind="${kind}"}`} ${value}\n`)
        .join(''),
    toNumbers: () =>
      Object.fromEntries(
        rows().map(([name, kind, value]) => [kind === '' ? name : `${name}/${kind}`, value]),
      ),
    stop: () => delay.disable(),
  };
}
