/**
 * The budget of RTCPeerConnections. Chrome allows 500 in the life of a renderer process, closed
 * ones included (measured), so a tab that lives for days must spend them slowly.
 */

/** From here on new connections go over WebSocket. */
export const rtcSparingFrom = 300;
/** From here on WebRTC is off until the tab is opened again. */
export const rtcOffFrom = 450;

/**
 * How many WebRTC connections one life of the worker may open. Generous at first, then three,
 * then one: a hundred deaths of the worker in one tab still end below {@link rtcSparingFrom}.
 */
export function rtcAllowance(used: number): number {
  if (used < 56) return 7;
  if (used < 140) return 3;
  if (used < rtcSparingFrom) return 1;
  return 0;
}
