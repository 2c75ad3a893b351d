/**
 * The page's content policy requires Trusted Types: a script URL from a string is refused unless a policy
 * made it. This is that policy. It allows only the page's own two kinds of worker.
 */
const workerPaths = /^\/(service-worker\.js|_app\/immutable\/workers\/[\w./-]+\.js)$/;

interface PolicyMaker {
  readonly createPolicy: (
    name: string,
    rules: { readonly createScriptURL: (address: string) => string },
  ) => unknown;
}

/** True when `address` is one of this app's own workers, seen from a page at `base`. */
export function isOwnWorker(address: string, base: string): boolean {
  if (!URL.canParse(address, base)) return false;
  const url = new URL(address, base);
  return url.origin === new URL(base).origin && workerPaths.test(url.pathname);
}

/** Installs the policy once; browsers without Trusted Types need none. */
export function trustOwnWorkers(): void {
  const maker = (globalThis as { readonly trustedTypes?: PolicyMaker }).trustedTypes;
  maker?.createPolicy('default', {
    createScriptURL: (address) => {
      if (isOwnWorker(address, location.href)) return address;
      throw new TypeError(`not a worker of this app: ${address}`);
    },
  });
}
