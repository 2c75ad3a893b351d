/**
 * Which Host and Origin headers the public port accepts. A page of another site can reach this port
 * under its own host name (DNS rebinding), and WebSockets have no same-origin rule: only these headers
 * show it, and a browser lets no page change them.
 */
import type { IncomingHttpHeaders } from 'node:http';

export interface OwnNames {
  readonly port: number;
  /** Names under which a reverse proxy offers this port; `name` or `name:port`, in lower case. */
  readonly names: readonly string[];
}

export interface Rejection {
  readonly status: 403 | 421;
  readonly error: 'otherHost' | 'otherOrigin';
  readonly message: string;
}

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];

/** `--host-names a.example,b.example:8443`. Errors: the part that is not a host name. */
export function parseHostNames(
  text: string,
): { readonly names: readonly string[] } | { readonly wrong: string } {
  const names = text.toLowerCase().split(',');
  const wrong = names.find(
    (name) => !/^([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(:\d{1,5})?$/.test(name),
  );
  return wrong === undefined ? { names } : { wrong };
}

export const invalidHostNameMessage = (text: string): string =>
  `--host-names takes names such as safe.example or safe.example:8443, separated by commas, not "${text}".`;

/** @returns undefined when the request was addressed to this port. */
export function rejectHost(headers: IncomingHttpHeaders, own: OwnNames): Rejection | undefined {
  if (isOwnHost(headers.host ?? '', own)) return undefined;
  return {
    status: 421,
    error: 'otherHost',
    message:
      `This is http://localhost:${own.port}: a reverse proxy has to be named when the program is ` +
      'started, with --host-names NAME.',
  };
}

/**
 * Programs send no Origin and are admitted; a page must be one of ours.
 * @returns undefined when the request is admitted.
 */
export function rejectOrigin(
  { origin }: IncomingHttpHeaders,
  own: OwnNames,
): Rejection | undefined {
  if (origin === undefined) return undefined;
  const [, scheme, host = ''] = /^(https?):\/\/([^/]+)$/.exec(origin) ?? [];
  if (scheme !== undefined && isOwnHost(host, own)) return undefined;
  return { status: 403, error: 'otherOrigin', message: 'Pages of other sites may not ask here.' };
}

function isOwnHost(host: string, { port, names }: OwnNames): boolean {
  const lower = host.toLowerCase();
  // Browsers omit the default port of the scheme.
  const full = port === 80 && !/:\d+$/.test(lower) ? `${lower}:80` : lower;
  if (loopbackNames.some((name) => full === `${name}:${port}`)) return true;
  // A proxy may listen on any port of its name.
  return names.some((name) => lower === name || lower.replace(/:\d+$/, '') === name);
}
