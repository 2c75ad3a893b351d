/** The worker's own globals, typed once. */
export const scope = globalThis as unknown as ServiceWorkerGlobalScope;

/** Chosen at each start: whoever hears a new one knows that the browser restarted the worker. */
export const instanceId = crypto.randomUUID();
