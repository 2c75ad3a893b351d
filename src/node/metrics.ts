/** Counters per message kind and outcome, as Prometheus reads them. No label carries a person. */
export interface Metrics {
  /** `name` and `kind` come from our own code, never from a peer. */
  readonly count: (name: string, kind: string) => void;
  readonly toText: () => string;
}

export function createMetrics(): Metrics {
  const counts = new Map<string, number>();
  const started = Date.now();
  return {
    count: (name, kind) => {
      const key = `${name}{kind="${kind}"}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    },
    toText: () => {
      const memory = process.memoryUsage();
      const lines = [
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
