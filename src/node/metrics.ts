/** Counters per message kind and outcome, as Prometheus reads them. No label carries a person. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface Metrics {
  /** `name` and `kind` come from our own code, never from a peer. */
  readonly count: (name: string, kind: string) => void;
  readonly toText: () => string;
}

export function createMetrics(): Metrics {
  const counts = new Map<string, number>();
  const started = Date.now();
  // The longest time the main thread answered nobody, since the last look.
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  return {
    count: (name, kind) => {
      const key = `${name}{kind="${kind}"}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    },
    toText: () => {
      const memory = process.memoryUsage();
      const longest = delay.max / 1e6;
      delay.reset();
      const lines = [
        `safe_longest_pause_ms ${Math.round(longest)}`,
        `safe_uptime_seconds ${Math.round((Date.now() - started) / 1000)}`,
        `safe_memory_bytes{kind="rss"} ${memory.rss}`,
        `safe_memory_bytes{kind="heap"} ${memory.heapUsed}`,
        `safe_cpu_seconds_total ${(process.cpuUsage().user + process.cpuUsage().system) / 1e6}`,
        ...[...counts].sort().map(([key, value]) => `${key} ${value}`),
      ];
      return `${lines.join('\n')}\n`;
    },
  };
}
