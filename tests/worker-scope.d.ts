/**
 * What a test in Node sees of the worker's globals: it runs parts of the worker, and none of them
 * touches these. The worker's own project has the real types.
 */
interface ServiceWorkerGlobalScope {
  readonly clients: {
    readonly matchAll: (options: object) => Promise<
      readonly {
        readonly id: string;
        readonly postMessage: (message: unknown, transfer?: Transferable[]) => void;
      }[]
    >;
  };
}
