/** Chosen at each start: whoever hears a new one knows that the browser restarted the worker. */
export const instanceId = crypto.randomUUID();
