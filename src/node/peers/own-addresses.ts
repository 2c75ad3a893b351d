/** The addresses of this node's host, signed and as text. */
import type { NodeHost } from '#network/node-host.ts';
import {
  encodeAddressRecord,
  maxAddressCharacters,
  maxAddresses,
  signAddressRecord,
} from '#protocol/section/index.ts';
import { nextAddressCounter, type NodeIdentity } from '../data-folder/node-identity.ts';
import type { AddressBook } from './address-book.ts';

/** The address to give to others: TCP, and not loopback if there is another. */
export function ownAddress(host: NodeHost): string {
  const tcp = host
    .addresses()
    .filter((each) => each.includes('/tcp/') && !/\/ws|\/p2p-circuit/.test(each));
  return tcp.find((each) => !/^\/ip[46]\/(127\.|::1\/)/.test(each)) ?? tcp[0] ?? '';
}

/** Signs this node's current addresses and adds the record to the book. */
export function signAddresses(
  identity: NodeIdentity,
  host: NodeHost,
  networkId: Uint8Array,
  book: AddressBook,
): void {
  const addresses = host
    .addresses()
    .filter((each) => each.length <= maxAddressCharacters && !each.includes('/p2p-circuit'))
    .slice(0, maxAddresses);
  const counter = nextAddressCounter(identity.folder);
  book.offerOwn(
    encodeAddressRecord(signAddressRecord(identity.seed, networkId, counter, addresses)),
  );
}
