/**
 * The budget of RTCPeerConnections. Chrome allows 500 per renderer process, closed ones included
 * (measured), so a tab that stays open for days must spend them slowly.
 */

/** From this count on, new connections use WebSocket. */
export const rtcConserveFrom = 300;
/** From this count on, WebRTC is off until the tab is opened again. */
export const rtcDisableFrom = 450;

/**
 * WebRTC connections that one run of the worker may open. Generous at first, then three, then one: a
 * hundred restarts of the worker in one tab stay below {@link rtcConserveFrom}.
 */
export function rtcAllowance(used: number): number {
  if (used < 56) return 7;
  if (used < 140) return 3;
  if (used < rtcConserveFrom) return 1;
  return 0;
}
