/** What `npm run sim` and the tests can run: one story, told again by every seed. */
export interface SimScenario {
  readonly name: string;
  readonly run: (seed: number) => {
    readonly events: number;
    readonly violations: readonly string[];
    readonly undelivered: number;
  };
}
