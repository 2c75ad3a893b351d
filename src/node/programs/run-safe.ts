/** `safe`: runs one node, creates a network, or shows one. Reads the arguments and starts the program. */
import { startOver } from '#storage/node/problem.ts';
import { parseCommand } from './safe-args.ts';
import type { NodeParts } from './node-parts.ts';
import { exitWith, progress, usageError } from './program-lifecycle.ts';

export async function runSafe(args: readonly string[], parts: NodeParts): Promise<void> {
  process.umask(0o077); // Files are readable by this user only.
  const parsed = await parseCommand(args, process.cwd());
  if (!parsed.ok) {
    progress(parsed.error);
    process.exit(usageError);
  }
  const command = parsed.value;
  try {
    switch (command.kind) {
      case 'print':
        process.stdout.write(command.text);
        break;
      case 'node':
        await (await import('./run-node.ts')).runNode(command, parts);
        break;
      case 'create':
        await (await import('./run-bootstrap.ts')).runBootstrap(command, parts);
        break;
      case 'status':
        process.exit(await (await import('./network-status.ts')).showStatus(command));
    }
  } catch (error) {
    exitWith(error, 'data' in command ? (command.data ?? '') : '', startOver.inOtherFolder);
  }
}
