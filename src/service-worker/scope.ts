/** The worker's own globals, typed once. */
export const scope = globalThis as unknown as ServiceWorkerGlobalScope;
