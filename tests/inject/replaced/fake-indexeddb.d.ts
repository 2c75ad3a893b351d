/** The used part of the package, in the platform's types. */
declare module 'fake-indexeddb' {
  export const IDBFactory: new () => globalThis.IDBFactory;
}
declare module 'fake-indexeddb/auto';
