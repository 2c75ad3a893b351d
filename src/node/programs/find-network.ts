/** The network of a node at its start: saved, learned from the join point, or founded with others. */
import { nameToId } from '#address/xor-name.ts';
import type { Invitation } from '#roles/wire/lobby.ts';
import { Problem } from '#storage/node/problem.ts';
import type { SavedNetworkFile } from '#roles/wire/network-file.ts';
import {
  deleteInvitation,
  loadInvitation,
  loadNetwork,
  saveInvitation,
  saveNetwork,
} from '../data-folder/saved-network.ts';
import { startFounder } from '../genesis/founder.ts';
import {
  announceGenesis,
  founderAddressesIn,
  founderNamesIn,
  genesisConfigOf,
  saveGenesis,
} from '../genesis/genesis-result.ts';
import { joinNetwork, type JoinPoint } from '../joining/network-join.ts';
import { createAdmissionControl } from '../requests/admission-control.ts';
import type { NodeRun } from './node-program.ts';
import { progress } from './program-lifecycle.ts';

interface FoundNetwork {
  readonly file: SavedNetworkFile;
  readonly records: readonly Uint8Array[];
}

/**
 * The network from the folder, from the join point, or founded with others. Results are on disk before
 * they are used, so that a restart continues from them.
 */
export async function findNetwork(run: NodeRun): Promise<FoundNetwork> {
  const { folder, joinPoint } = run.program;
  const { identity, host } = run;
  let file = loadNetwork(folder)?.file ?? null;
  let invitation = loadInvitation(folder);
  let records: readonly Uint8Array[] = [];
  if (file === null && invitation === null) {
    const joined = await joinNetwork(identity, host, requireJoinPoint(joinPoint), progress);
    if (joined.kind === 'founding') saveInvitation(folder, (invitation = joined.invitation));
    else ({ file, records } = joined);
  }
  const founders = invitation === null ? [] : founderNamesIn(invitation);
  const isFounder = founders.some((name) => nameToId(name) === nameToId(identity.name));
  if (invitation !== null && isFounder) {
    progress(
      file === null ? 'Founding the network: seven founders make its key …' : 'Founded before.',
    );
    file = await foundNetwork(run, invitation);
  } else if (file === null) {
    const joined = await joinNetwork(
      identity,
      host,
      requireJoinPoint(joinPoint),
      progress,
      'network',
    );
    if (joined.kind !== 'network') throw new Error('invariant broken: waited for a network');
    ({ file, records } = joined);
  }
  if (file === null) throw new Error('invariant broken: there is a network now');
  saveNetwork(folder, file);
  if (!isFounder) deleteInvitation(folder);
  return { file, records };
}

async function foundNetwork(
  { program, identity, host, facts, stops }: NodeRun,
  invitation: Invitation,
): Promise<SavedNetworkFile> {
  const { folder, jobs, log, metrics, joinPoint } = program;
  const founder = await startFounder({
    config: genesisConfigOf(invitation),
    identity,
    host,
    addressesOf: founderAddressesIn(invitation),
    facts,
    jobs,
    log,
    admission: createAdmissionControl(metrics),
  });
  stops.push(founder.stop);
  const created = await founder.result;
  const file = saveGenesis(folder, identity, invitation, created);
  void announceGenesis(host, requireJoinPoint(joinPoint), created.signed, founder, folder);
  return file;
}

function requireJoinPoint(point: JoinPoint | null): JoinPoint {
  if (point !== null) return point;
  throw new Problem('broken', 'Give the address of a node: --join MULTIADDR.');
}
