/** A field is named by the way to it: `handover.message.news.roots`. */
/** What is registered for a path: under its last words, so that it holds wherever it stands. */
export function atPath<T>(registered: Readonly<Record<string, T>>, path: string): T | undefined {
  const words = path.split('.');
  for (let at = 0; at < words.length; at++) {
    const found = registered[words.slice(at).join('.')];
    if (found !== undefined) return found;
  }
  return undefined;
}

export const join = (path: string, name: string): string =>
  path === '' ? name : `${path}.${name}`;
