/** `safe`: one node, a new network, or a look at one. Reads its arguments and hands over. */
import { parseCommand, usage } from './safe-args.ts';
import { asProblem, progress, wrongUse } from './program.ts';

/** `--fresh` is a word of the local network; here the way out is another folder. */
const freshSentence = /start a new network with --fresh \(the old folder is kept beside it\)/;
const otherFolder = 'choose another folder with --data DIR';

process.umask(0o077); // Whatever is written belongs to this user alone.

const parsed = parseCommand(process.argv.slice(2), process.cwd());
if (!parsed.ok) {
  progress(parsed.error);
  process.exit(wrongUse);
}
const command = parsed.value;
try {
  switch (command.kind) {
    case 'help':
      process.stdout.write(`${usage}\n`);
      break;
    case 'node':
      await (await import('./run-node.ts')).runNode(command);
      break;
    case 'create':
      await (await import('./run-bootstrap.ts')).runBootstrap(command);
      break;
    case 'status':
      process.exit(await (await import('./network-status.ts')).showStatus(command));
  }
} catch (error) {
  const data = 'data' in command ? (command.data ?? '') : '';
  const problem = asProblem(error, data);
  progress(
    problem?.message.replace(freshSentence, otherFolder) ?? String((error as Error).stack ?? error),
  );
  process.exit(problem === undefined ? 1 : wrongUse);
}
