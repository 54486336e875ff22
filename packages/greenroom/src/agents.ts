/** Which participant of a room is the agent, and whether we may drive it. */

import { errorOf, invalid } from './failures.js';
import { checkPermissions, isAgent, isReconnecting, mayManage, type LocalParticipant, type Participant, type RoomLike } from './rtc.js';

/** How an agent is waited for. */
interface Waiting {
  /** Its identity; undefined for the only agent in the room. */
  agent: string | undefined;
  /** Milliseconds. */
  timeout: number;
  signal: AbortSignal | undefined;
}

/**
 * @internal The identity of the agent, as soon as it is in the room.
 *
 * Rejects at once if the Room is not connected, if this participant lacks the grant, or if it is open which agent is meant;
 * with `SessionTimeout` if there is none in time.
 */
export async function findAgent(room: RoomLike, { agent, timeout, signal }: Waiting): Promise<string> {
  signal?.throwIfAborted();
  if (!room.isConnected) {
    throw invalid('the Room is not connected: call `await room.connect(url, token)` first');
  }
  checkGrant(room);
  const found = look(room, agent);
  if (found !== undefined) return found;
  return new Promise((resolve, reject) => {
    const settle = (step: () => void) => {
      clearTimeout(timer);
      for (const event of ['participantConnected', 'connectionStateChanged']) room.off(event, onNews);
      signal?.removeEventListener('abort', onAbort);
      step();
    };
    const onNews = () => {
      try {
        if (!room.isConnected && !isReconnecting(room))
          throw errorOf('io', 'the Room was disconnected while the agent was awaited');
        const found = look(room, agent);
        if (found !== undefined) settle(() => resolve(found));
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const onAbort = () => settle(() => reject(signal?.reason));
    const timer = setTimeout(() => settle(() => reject(nobody(room, agent, timeout))), timeout);
    for (const event of ['participantConnected', 'connectionStateChanged']) room.on(event, onNews);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Without the grant an agent that is guarded refuses, and what is sent is for nothing. */
function checkGrant(room: RoomLike): void {
  const local = room.localParticipant as LocalParticipant | undefined;
  if (local === undefined || mayManage(local) === true) return;
  checkPermissions(local);
  throw errorOf(
    'permission_denied',
    `this participant, ${JSON.stringify(local.identity)}, lacks the grant canManageAgentSession, without which it may not ` +
      'drive an agent: join with a token whose video grant has `canManageAgentSession: true`, or have the server give the ' +
      'permission with updateParticipant',
  );
}

function look(room: RoomLike, agent: string | undefined): string | undefined {
  if (agent !== undefined) return room.remoteParticipants.has(agent) ? agent : undefined;
  const agents = [...room.remoteParticipants.values()].filter((one: Participant) => isAgent(one));
  if (agents.length > 1) {
    const identities = agents.map(({ identity }: Participant) => JSON.stringify(identity)).sort();
    throw invalid(`the room has ${agents.length} agents, so name the one that is meant: ${identities.join(', ')}`);
  }
  return (agents[0] as Participant | undefined)?.identity;
}

function nobody(room: RoomLike, agent: string | undefined, timeout: number): Error {
  const others = [...room.remoteParticipants.keys()].map((identity) => JSON.stringify(identity));
  return errorOf(
    'timeout',
    `${agent === undefined ? 'no agent' : `no participant ${JSON.stringify(agent)}`} was in the room within ${timeout} ms; ` +
      `others in it: ${others.sort().join(', ') || 'nobody'}`,
  );
}
