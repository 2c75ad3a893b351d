/** The numbers of a program: one registry for the process and one for each of its nodes. No label identifies a person. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { AggregatorRegistry, Counter, Gauge, Registry } from 'prom-client';
import { counters, gauges, type CounterName, type GaugeName } from './metric-names.ts';

/** The numbers of one node. */
export interface Metrics {
  /** `kind` comes from our own code, never from a peer. */
  readonly count: (name: CounterName, kind: string, by?: number) => void;
  /** A value that is read for each report; a later gauge of the same name replaces it. */
  readonly gauge: (name: GaugeName, read: () => number) => void;
}

export interface ProgramMetrics extends Metrics {
  /** The numbers of one more node in this process. */
  readonly ofNode: () => Metrics;
  /** All nodes together, in the text format of Prometheus. */
  readonly toText: () => Promise<string>;
  /** The same numbers for a line of the log: `name` or `name/kind`. */
  readonly toRecord: () => Promise<Readonly<Record<string, number>>>;
  readonly stop: () => void;
}

export function createMetrics(): ProgramMetrics {
  const program = new Registry();
  const stop = addProcessMetrics(program);
  const registries = [program];
  const total = async (): Promise<Registry> =>
    AggregatorRegistry.aggregate(
      await Promise.all(registries.map((registry) => registry.getMetricsAsJSON())),
    );
  return {
    ...metricsIn(program),
    ofNode: () => {
      const registry = new Registry();
      registries.push(registry);
      return metricsIn(registry);
    },
    toText: async () => (await total()).metrics(),
    toRecord: async () =>
      Object.fromEntries(
        (await (await total()).getMetricsAsJSON()).flatMap(({ name, values }) =>
          values.map(({ labels, value }) => [
            labels['kind'] === undefined ? name : `${name}/${labels['kind']}`,
            value,
          ]),
        ),
      ),
    stop,
  };
}

function metricsIn(registry: Registry): Metrics {
  const counterOf = (name: CounterName): Counter<'kind'> =>
    (registry.getSingleMetric(name) as Counter<'kind'> | undefined) ??
    new Counter({ name, help: counters[name], labelNames: ['kind'], registers: [registry] });
  return {
    count: (name, kind, by = 1) => counterOf(name).inc({ kind }, by),
    gauge: (name, read) => {
      registry.removeSingleMetric(name);
      const { help, total } = gauges[name];
      new Gauge({
        ...{ name, help, aggregator: total, registers: [registry] },
        collect() {
          this.set(read());
        },
      });
    },
  };
}

/** @returns what stops the measurement of pauses. */
function addProcessMetrics(registry: Registry): () => void {
  const startedMs = Date.now();
  // The longest pause of the main thread since the last report.
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const registers = [registry];
  new Gauge({
    ...{ name: 'safe_event_loop_pause_ms', help: 'Longest pause of the main thread.', registers },
    collect() {
      this.set(Math.round(delay.max / 1e6));
      delay.reset();
    },
  });
  new Gauge({
    ...{ name: 'safe_uptime_seconds', help: 'Seconds since the start.', registers },
    collect() {
      this.set(Math.round((Date.now() - startedMs) / 1000));
    },
  });
  new Gauge({
    ...{ name: 'safe_memory_bytes', help: 'Memory in use.', labelNames: ['kind'], registers },
    collect() {
      const { rss, heapUsed } = process.memoryUsage();
      this.set({ kind: 'rss' }, rss);
      this.set({ kind: 'heap' }, heapUsed);
    },
  });
  new Counter({
    ...{ name: 'safe_cpu_seconds_total', help: 'Processor time.', registers },
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  return () => delay.disable();
}
