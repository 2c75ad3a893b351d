/** The worker's own globals, typed once; Node's types have no worker `location`. */
export const scope = globalThis as unknown as ServiceWorkerGlobalScope & {
  readonly location: { readonly origin: string };
};
