/** The worker's own globals, typed once; programs for Node know no `location` of a worker. */
export const scope = globalThis as unknown as ServiceWorkerGlobalScope & {
  readonly location: { readonly origin: string };
};
