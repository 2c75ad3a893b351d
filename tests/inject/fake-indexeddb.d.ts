/** What is used of the package, in the types of the platform. */
declare module 'fake-indexeddb' {
  export const IDBFactory: new () => globalThis.IDBFactory;
}
declare module 'fake-indexeddb/auto';
