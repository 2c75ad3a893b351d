/** A scenario for `npm run sim` and the tests: one story, varied by the seed. */
export interface SimScenario {
  readonly name: string;
  readonly run: (seed: number) => {
    readonly events: number;
    readonly violations: readonly string[];
    readonly undelivered: number;
  };
}
