/** Names of the libp2p protocols (wire.md): `/safe/<tag>/<kind>/<major>`. */

export type ProtocolKind = 'client' | 'section' | 'data';

export const PROTOCOL_MAJOR = 2;

/** The tag for nodes that do not know the network yet (roles/wire/lobby.ts). */
export const lobbyTag = 'lobby';

/** First 16 hex digits of the network id; a network that is being founded uses a tag of its own. */
export const networkTag = (networkId: Uint8Array): string => {
  let text = '';
  for (const byte of networkId.subarray(0, 8)) text += byte.toString(16).padStart(2, '0');
  return text;
};

export const protocolName = (kind: ProtocolKind, tag: string, major = PROTOCOL_MAJOR): string =>
  `/safe/${tag}/${kind}/${major}`;
