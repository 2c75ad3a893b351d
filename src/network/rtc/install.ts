/** Imported for its effect, before `@libp2p/webrtc`: that package reads the globals when it loads. */
import { installRtcProxy } from './worker-proxy.ts';

installRtcProxy();
