/**
 * A network namespace joined to this one by a pair of virtual interfaces: processes in it have their own
 * link, and a link that is down drops packets without an error, as a real one does.
 */
import { spawn, spawnSync } from 'node:child_process';

export interface Namespace {
  /** The address of the outside, from both sides. */
  readonly outside: string;
  /** The address of the inside; it stays up inside when the link is down. */
  readonly inside: string;
  /** The same command, run inside. */
  readonly within: (command: readonly string[]) => readonly [string, ...string[]];
  readonly setLink: (up: boolean) => void;
  /** Its processes must have ended. */
  readonly remove: () => void;
}

const ip = (args: string): string => {
  const { status, stdout, stderr, error } = spawnSync('ip', args.split(' '), { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`ip ${args}: ${stderr}`);
  return stdout;
};

/** A block of eight addresses in 10.0.0.0/8 without a route on this computer. */
function freeBlock(): string {
  const known = ip('-4 route show table all') + ip('-4 addr show');
  for (let tries = 0; tries < 1_000; tries++) {
    const block = `10.${200 + (tries % 50)}.${(process.pid + tries) % 256}`;
    if (!known.includes(`${block}.`)) return block;
  }
  throw new Error('no addresses are free');
}

/** @returns null if this user may not create one, or `ip` is missing. */
export function openNamespace(): Namespace | null {
  const name = `safe-${process.pid}`;
  const [outer, inner] = [`safe${process.pid}o`, `safe${process.pid}i`];
  const remove = (): void => {
    // Removing either end removes the pair; an error means there was none.
    spawnSync('ip', ['link', 'delete', outer]);
    spawnSync('ip', ['netns', 'delete', name]);
  };
  try {
    const block = freeBlock();
    const [outside, middle, inside] = [`${block}.1`, `${block}.3`, `${block}.2`];
    ip(`netns add ${name}`);
    ip(`link add ${outer} type veth peer name ${inner} netns ${name}`);
    ip(`addr add ${outside}/29 dev ${outer}`);
    ip(`link set ${outer} up`);
    ip(`-n ${name} link set lo up`);
    // On loopback, so that inside processes reach each other whatever the link does.
    ip(`-n ${name} addr add ${inside}/32 dev lo`);
    ip(`-n ${name} addr add ${middle}/29 dev ${inner}`);
    ip(`-n ${name} link set ${inner} up`);
    return {
      outside,
      inside,
      within: (command) => ['ip', 'netns', 'exec', name, ...command],
      setLink: (up) => void ip(`-n ${name} link set ${inner} ${up ? 'up' : 'down'}`),
      remove,
    };
  } catch (error) {
    remove();
    console.log(`no network namespaces here: ${String(error).trim()}`);
    return null;
  }
}

/** Requests a port on the inside's loopback: over no link, so a cut does not matter. */
export function fetchWithin(
  namespace: Namespace,
  url: string,
  body?: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const init =
    body === undefined
      ? '{}'
      : `{ method: 'POST', headers: { 'content-type': 'application/json' }, body: ${JSON.stringify(body)} }`;
  const script = `const answer = await fetch(${JSON.stringify(url)}, ${init});
    console.log(JSON.stringify({ status: answer.status, text: await answer.text() }));`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const [program, ...args] = namespace.within(node);
  return new Promise((done, failed) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let out = '';
    child.stdout.on('data', (text: Buffer) => (out += text.toString()));
    child.on('error', failed);
    child.on('close', () => {
      if (out === '') return failed(new Error(`${url} does not answer`));
      done(JSON.parse(out) as { status: number; text: string });
    });
  });
}
