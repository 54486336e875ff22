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
import { capture, devices, Frame, playback, type AudioEvent, type Capture, type Device } from 'greenroom/audio';

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

/** As that of @livekit/rtc-node. */
declare class AudioFrame {
  data: Int16Array;
  sampleRate: number;
  channels: number;
  samplesPerChannel: number;
  constructor(data: Int16Array, sampleRate: number, channels: number, samplesPerChannel: number);
}

export async function sound(): Promise<AudioFrame | undefined> {
  await using mic: Capture = await capture({ device: 'tone:440', rate: 48_000, clock: 'fast', latency: 'low' });
  await using speaker = await playback({ signal: AbortSignal.timeout(1_000) });
  for await (const frame of mic) await speaker.write(frame, { timeout: 500 });
  const heard = (event: AudioEvent) => (event.type === 'gap' ? event.samples : event.type === 'reopened' ? event.afterMs : 0);
  for await (const event of mic.events()) heard(event).toFixed();
  mic.readable().pipe(speaker.writable());
  const [first]: Device[] = await devices();
  await speaker.drain();
  const frame = await mic.read({ timeout: 1_000 });
  await speaker.write(Frame.fromRtc(new AudioFrame(new Int16Array(480), 48_000, first?.channels ?? 1, 480)));
  await speaker.write(new Float32Array(480));
  // @ts-expect-error: samples are 16-bit integers or 32-bit floats
  await speaker.write(new Float64Array(480));
  // @ts-expect-error: there is no such clock
  await capture({ clock: 'slow' });
  return frame?.toRtc(AudioFrame);
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
    case 'agent_unresponsive':
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
