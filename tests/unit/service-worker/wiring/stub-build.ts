/** Instead of SvelteKit's list of the app's files. */
export const build: readonly string[] = ['/_app/immutable/a.js'];
export const files: readonly string[] = [];
export const version = 'test';
