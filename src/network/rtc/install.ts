/** Imported for its effect, before `@libp2p/webrtc`: that package reads the globals as it loads. */
import { installRtcStandIn } from './stand-in.ts';

installRtcStandIn();
