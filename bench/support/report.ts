/** Benchmark results, as text for people and as one JSON line for programs. */

export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The baseline, measured in the same run. */
  readonly beside: string | null;
  readonly besideValue: number | null;
  readonly ratio: number | null;
}

export function row(
  name: string,
  value: number,
  unit: string,
  beside?: { readonly name: string; readonly value: number },
): Row {
  const known = beside ?? null;
  return {
    name,
    value: round(value),
    unit,
    beside: known?.name ?? null,
    besideValue: known === null ? null : round(known.value),
    ratio: known === null ? null : round(value / known.value),
  };
}

export function report(bench: string, rows: readonly Row[]): void {
  for (const { name, value, unit, beside, besideValue, ratio } of rows) {
    const compared = beside === null ? '' : `  ${ratio} × ${beside} (${besideValue} ${unit})`;
    process.stderr.write(`${name.padEnd(24)} ${value} ${unit}${compared}\n`);
  }
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ bench, rows })}\n`);
}

export const printLine = (line: string): void => void process.stderr.write(`${line}\n`);

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** b of y = a·xᵇ by least squares over the logarithms: 1 = linear growth. */
export function fittedExponent(points: readonly (readonly [x: number, y: number])[]): number {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (at: 0 | 1): number => logs.reduce((sum, each) => sum + each[at], 0) / logs.length;
  const [mx, my] = [mean(0), mean(1)];
  const top = logs.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  const bottom = logs.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  return top / bottom;
}

const round = (value: number): number => Number(value.toPrecision(4));
