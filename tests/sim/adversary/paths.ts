/** A field is named by its path: `handover.message.news.roots`. */
/** Looks a path up by its last parts, so that an entry holds in every context. */
export function atPath<T>(registered: Readonly<Record<string, T>>, path: string): T | undefined {
  const segments = path.split('.');
  for (let at = 0; at < segments.length; at++) {
    const found = registered[segments.slice(at).join('.')];
    if (found !== undefined) return found;
  }
  return undefined;
}

export const joinPath = (path: string, name: string): string =>
  path === '' ? name : `${path}.${name}`;
