/**
 * What a test in Node sees of the workers' globals, where it runs them over stubs. The workers'
 * own projects have the real types.
 */
interface ServiceWorkerGlobalScope {
  readonly clients: {
    readonly claim: () => Promise<void>;
    readonly matchAll: (options: object) => Promise<
      readonly {
        readonly id: string;
        readonly postMessage: (message: unknown, transfer?: Transferable[]) => void;
      }[]
    >;
  };
  readonly skipWaiting: () => Promise<void>;
  readonly addEventListener: (
    kind: 'install' | 'activate' | 'fetch' | 'message',
    listener: (
      event: MessageEvent<unknown> & {
        readonly request: Request;
        readonly waitUntil: (work: Promise<unknown>) => void;
        readonly respondWith: (answer: Promise<Response>) => void;
      },
    ) => void,
  ) => void;
}

interface DedicatedWorkerGlobalScope {
  readonly postMessage: (message: unknown) => void;
  onmessage: ((event: MessageEvent<unknown>) => void) | null;
}
