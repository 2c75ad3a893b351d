export type ChromiumPlan =
  | { readonly kind: 'use'; readonly path: string }
  | { readonly kind: 'install' }
  | { readonly kind: 'stop'; readonly sentence: string };

export function planChromium(machine: {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly exists: (path: string) => boolean;
  readonly isRoot: boolean;
  readonly isTerminal: boolean;
}): ChromiumPlan;

export function ensureChromium(): Promise<string>;
