// What users write; types.test.mjs compiles it. Nothing here runs.

import {
  AgentGone,
  GreenroomError,
  SessionTimeout,
  inProcess,
  start,
  type ErrorCode,
  type Event,
  type Item,
  type Logger,
  type Session,
  type Turn,
} from 'greenroom';

export async function conversation(): Promise<string> {
  await using session: Session = await start('agent.py', { python: 'python3', timeout: 30_000, logger: console });
  const turn: Turn = await session.say('hi', { signal: AbortSignal.timeout(1_000), timeout: 500 });
  const calls: string[] = turn.toolCalls.map(({ name, output }) => `${name} ${output ?? ''}`);
  const items: Item[] = await session.history();
  for await (const event of session.events({ fromNow: true })) calls.push(tell(event));
  session.on('message', (message) => calls.push(message.role)).off('gap', ({ dropped }) => dropped.toFixed());
  await session.updateIo({ inputAudio: false });
  const { success } = await session.finalizeSimulation({ provisionalSuccess: true });
  // @ts-expect-error: there is no such option
  await start('agent.py', { pyhton: 'python3' });
  // @ts-expect-error: a text is needed
  await session.say();
  return `${turn.reply} ${turn.durationMs.toFixed()} ${items.length} ${success} ${calls.join()}`;
}

/** The union is told apart by `type`, to the last. */
export function tell(event: Event): string {
  switch (event.type) {
    case 'message':
      return event.text;
    case 'tool_call':
      return `${event.name}(${event.arguments})`;
    case 'handoff':
      return `${event.from ?? ''} ${event.to}`;
    case 'state':
      return event.who === 'agent' ? event.to : event.from;
    case 'tool_update':
      return event.update === 'started' ? event.call.name : event.update;
    case 'usage':
      return event.models.map((model) => (model.kind === 'llm' ? model.inputTokens : 0)).join();
    case 'config':
    case 'error':
    case 'log':
    case 'transcript':
    case 'tools_started':
    case 'overlapping_speech':
    case 'false_interruption':
    case 'amd_prediction':
    case 'amd_completed':
    case 'eot_prediction':
    case 'debug':
    case 'session_closed':
    case 'closed':
    case 'gap':
    case 'late_turn':
    case 'unknown':
      return event.time;
    default:
      return event satisfies never;
  }
}

export function explain(error: unknown): ErrorCode | undefined {
  if (error instanceof SessionTimeout || error instanceof AgentGone) return error.code;
  return error instanceof GreenroomError ? error.code : undefined;
}

export const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export const local = (agentSession: Parameters<typeof inProcess>[0]): Promise<Session> =>
  inProcess(agentSession, { textMode: true, logger: false });
