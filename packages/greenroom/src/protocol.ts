/** The SDK's messages. */

import type { AgentSession } from '@livekit/protocol';
import { errorFromSdk } from './failures.js';
import { loadProtocol } from './sdk.js';

/** A message of the session protocol: the SDK's own, of @livekit/protocol. */
export type AgentSessionMessage = AgentSession.AgentSessionMessage;

/** @internal The SDK's protobuf library. */
export type Protocol = typeof AgentSession;

/** @internal Loads it. `what` needs it, and rejects with `SdkMissing` where it is not there. */
export async function protocolFor(what: string): Promise<Protocol> {
  try {
    return (await loadProtocol(what)) as Protocol;
  } catch (error) {
    throw errorFromSdk(error);
  }
}
