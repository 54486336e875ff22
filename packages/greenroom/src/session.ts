/** The session: one conversation with one agent, however it is reached. */

import { checkChannel, checkOption, checkOptions, millis, requireText, shown, type Kinds } from './checks.js';
import type { Driver, Open } from './driver.js';
import type { GreenroomError } from './errors.js';
import { Events, type EventsOptions } from './events.js';
import { errorFromJson, errorFromNative, invalid } from './failures.js';
import { isDevice, sayLive } from './live.js';
import { Listeners, type EventListener } from './listeners.js';
import type { Logger } from './logger.js';
import { camelCased, snakeCased } from './names.js';
import { quiet } from './promises.js';
import { shareClass } from './realms.js';
import { decoded, encoded, speechOf, type Sound, type TextToSpeech } from './speech.js';
import type {
  AgentInfo,
  EventType,
  FrameworkInfo,
  IoUpdate,
  Item,
  ModelUsage,
  RtcStats,
  SessionState,
  Started,
  Status,
  Turn,
  Verdict,
} from './types.js';

/** How a call waits. */
export interface CallOptions {
  /** How long the call may take, in milliseconds. Its default is the call's own. */
  timeout?: number | undefined;
  /** Gives the call up: it rejects with the signal's reason, and the session stays usable. */
  signal?: AbortSignal | undefined;
}

const CALL: Kinds<CallOptions> = { timeout: 'own', signal: 'signal' };

const SAY_AUDIO: Kinds<SayAudioOptions> = {
  text: 'own',
  rate: 'own',
  channel: 'own',
  duration: 'own',
  interruptAfter: 'own',
  ...CALL,
};

const IO_UPDATE: Kinds<IoUpdate> = {
  inputAudio: 'flag',
  inputVideo: 'flag',
  outputAudio: 'flag',
  outputVideo: 'flag',
  outputTranscription: 'flag',
};

/** How something is said aloud. */
export interface SayAudioOptions extends CallOptions {
  /** What it says in words, for the turn's `text`. The agent does not get it. */
  text?: string | undefined;
  /** Samples per second of samples that do not tell theirs. 48,000 unless given. */
  rate?: number | undefined;
  /** Of a sound of several channels, the one that is said, counted from 0; the mean of those that are heard unless given. */
  channel?: number | undefined;
  /** Of a device, how many milliseconds of it are said; until it ends or is closed unless given. */
  duration?: number | undefined;
  /**
   * Does not wait for the turn under way, but speaks over the agent once it has been heard for so many milliseconds. Both
   * turns come back; this one's `voice.yieldMs` tells how long the agent took to fall silent.
   */
  interruptAfter?: number | undefined;
}

/** How something is said. */
export interface SayOptions extends CallOptions {
  /** Says the text aloud, in a session with audio. The agent gets the sound alone. Without it the agent gets the text. */
  tts?: TextToSpeech | undefined;
  /** As for `sayAudio`, for what `tts` gives. */
  rate?: number | undefined;
  /** As for `sayAudio`, with `tts`. */
  interruptAfter?: number | undefined;
}

/** What a simulation thinks so far. */
export interface Provisional {
  provisionalSuccess: boolean;
  /** Why. Empty unless given. */
  provisionalReason?: string;
}

interface Call {
  resolve(answer: unknown): void;
  reject(reason: unknown): void;
}

// Node 20 before 20.4 has no such symbol; who compiles `await using` for it brings this one.
const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

/** Sessions that something waits for. Others may be garbage-collected, and then end. */
const awaited = new Set<Session>();

/**
 * One conversation with one agent. Get it from `start`, `open`, `attach` or `inProcess`.
 *
 * Every method may be called at any time, in any number at once. A call rejects with a `GreenroomError`: an error of the
 * agent, `SessionTimeout` when its deadline passes, or why the session is closed. It rejects with the reason of its
 * `AbortSignal` when that aborts. No rejection is ever "unhandled", so a promise may be left alone.
 *
 * The session keeps Node running only while a call or an iterator of events waits. A session that is neither closed nor
 * referenced any more ends by itself, and so does its agent; at the latest with the process.
 */
export class Session {
  /** What the agent told when the session became ready: its SDK, its first agent, a greeting. */
  readonly started: Started = { events: [] };

  readonly #driver: Driver;
  readonly #calls = new Map<number, Call>();
  readonly #news = new Set<() => void>();
  readonly #listeners: Listeners;
  #nextToken = 1;
  #holds = 0;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(open: Open, logger: Logger | false | undefined) {
    // The driver holds on to what wakes it: a reference to the session there would keep it from being collected.
    const self = new WeakRef(this);
    const wake = () => {
      const session = self.deref();
      if (session !== undefined) session.#drain();
    };
    try {
      this.#driver = open(wake);
    } catch (error) {
      throw errorFromNative(error);
    }
    this.#listeners = new Listeners(this.#driver, logger);
  }

  /**
   * Says `text` to the agent, as the user, and waits until its turn is over. Turns go one at a time, in order.
   *
   * An agent that says nothing has a turn that is `silent`; one that breaks down has a turn with an `error`.
   * The deadline, 120 s unless `timeout` says otherwise, includes the wait for earlier turns. A turn that is given up
   * goes on in the agent: what it still says comes as events that are marked `late`.
   */
  say(text: string, options: SayOptions = {}): Promise<Turn> {
    return quiet(this.#say(text, options));
  }

  async #say(text: string, options: SayOptions): Promise<Turn> {
    checkOptions('say', options, { tts: 'function', rate: 'own', interruptAfter: 'own', ...CALL });
    const { tts, rate, interruptAfter, ...call } = options;
    if (tts !== undefined) return this.#sayAloud(text, tts, { rate, interruptAfter, ...call });
    const operation = () => {
      if (interruptAfter !== undefined) {
        throw invalid('interruptAfter is for spoken turns; pass tts too, or use sayAudio');
      }
      return { op: 'say', text: requireText('the text to say', text) };
    };
    return this.#call(operation, call, turnOf) as Promise<Turn>;
  }

  /**
   * Speaks to the agent, in a session with audio, and waits until it has been heard out.
   *
   * Nothing on the wire ends such a turn. It is over once the agent has heard all of it, has answered and is silent again;
   * else after 10 s in which it shows no sign of having heard, or 3 s in which it begins no answer. The deadline is 120 s
   * and as long as the sound lasts, 3 minutes at most, unless `timeout` says otherwise.
   *
   * A device is heard while it is spoken into, until it ends or is closed, or for `duration`: a virtual one by its name, or
   * a `Capture` of `greenroom/audio`, which stays open.
   *
   * Rejects with `Unsupported` in a session without audio, with `SessionTimeout` where the agent was done speaking before
   * it was to be interrupted, and with what a device failed with; what it gave was said.
   */
  sayAudio(sound: Sound, options: SayAudioOptions = {}): Promise<Turn> {
    return quiet(this.#sayAudio(sound, options));
  }

  async #sayAloud(text: string, tts: TextToSpeech, options: SayAudioOptions): Promise<Turn> {
    return this.#sayAudio(await tts(requireText('the text to say', text)), { ...options, text });
  }

  async #sayAudio(sound: Sound, options: SayAudioOptions): Promise<Turn> {
    checkOptions('sayAudio', options, SAY_AUDIO);
    const { text = '', rate, channel, duration, interruptAfter, ...call } = options;
    checkChannel(channel);
    if (interruptAfter !== undefined && !(Number.isFinite(interruptAfter) && interruptAfter >= 0)) {
      throw invalid(`interruptAfter is ${shown(interruptAfter)}; pass a number of milliseconds, 0 or more`);
    }
    millis('duration', duration);
    const operation = {
      op: 'say_audio',
      text: requireText('text', text),
      ...(interruptAfter === undefined ? {} : { interrupt_after_ms: interruptAfter }),
    };
    // Kept before anything is awaited: nobody else keeps Node running meanwhile.
    this.#hold();
    try {
      if (isDevice(sound)) {
        const { timeout, signal } = call;
        const calls = {
          begin: (audio: string, live: string, signal: AbortSignal) =>
            this.#call({ ...operation, audio, live }, { timeout, signal }, turnOf) as Promise<Turn>,
          more: (more: object, signal: AbortSignal) => this.#call({ op: 'say_more', ...more }, { signal }, nothing),
        };
        return await sayLive(sound, calls, { channel, duration, timeout, signal });
      }
      if (duration !== undefined) throw invalid('duration is for a device; other sounds are said whole');
      const audio = encoded(await speechOf(sound, rate, channel));
      return (await this.#call({ ...operation, audio }, call, turnOf)) as Turn;
    } finally {
      this.#release();
    }
  }

  /** The whole conversation, oldest first. */
  history(options?: CallOptions): Promise<Item[]> {
    return this.#call({ op: 'history' }, options, part('items')) as Promise<Item[]>;
  }

  /** The instructions, tools and context of the agent that speaks now. */
  agentInfo(options?: CallOptions): Promise<AgentInfo> {
    return this.#call({ op: 'agent_info' }, options) as Promise<AgentInfo>;
  }

  /** What agent and user are doing, and the session's options. */
  sessionState(options?: CallOptions): Promise<SessionState> {
    return this.#call({ op: 'session_state' }, options) as Promise<SessionState>;
  }

  /** What the models have used so far. */
  usage(options?: CallOptions): Promise<ModelUsage[]> {
    return this.#call({ op: 'usage' }, options, part('models')) as Promise<ModelUsage[]>;
  }

  /** The agent's WebRTC statistics; empty without a room. */
  rtcStats(options?: CallOptions): Promise<RtcStats> {
    return this.#call({ op: 'rtc_stats' }, options) as Promise<RtcStats>;
  }

  /** The agent's SDK and its version. */
  frameworkInfo(options?: CallOptions): Promise<FrameworkInfo> {
    return this.#call({ op: 'framework_info' }, options) as Promise<FrameworkInfo>;
  }

  /** Turns inputs and outputs of the agent on or off. A session starts with the agent's audio off. */
  updateIo(update: IoUpdate, options?: CallOptions): Promise<void> {
    const operation = () => {
      checkOptions('updateIo', update ?? null, IO_UPDATE);
      return { op: 'update_io', ...(snakeCased(update) as object) };
    };
    return this.#call(operation, options, nothing) as Promise<void>;
  }

  /** Asks the agent for its verdict on a simulation. */
  finalizeSimulation(provisional: Provisional, options?: CallOptions): Promise<Verdict> {
    const operation = () => {
      checkOptions('finalizeSimulation', provisional ?? null, { provisionalSuccess: 'flag', provisionalReason: 'text' });
      return { op: 'finalize_simulation', ...(snakeCased(provisional) as object) };
    };
    return this.#call(operation, options) as Promise<Verdict>;
  }

  /** Asks whether the agent's session answers. */
  ping(options?: CallOptions): Promise<void> {
    return this.#call({ op: 'ping' }, options, nothing) as Promise<void>;
  }

  /**
   * The session's events, in order, for `for await`. Each iterator has a place of its own, so that several see the same
   * events; it ends after the event `closed`. A reader that falls behind what is kept (16,384 events or 32 MiB) gets a
   * `gap` that counts what it missed.
   */
  events(options: EventsOptions = {}): Events {
    return new Events(
      {
        driver: this.#driver,
        onNews: (listener) => this.#news.add(listener),
        offNews: (listener) => this.#news.delete(listener),
        hold: () => this.#hold(),
        release: () => this.#release(),
      },
      options,
    );
  }

  /** Calls `listener` for each event of that type from now on. It does not keep Node running. */
  on<T extends EventType>(type: T, listener: EventListener<T>): this {
    checkOption('on', 'the listener', listener ?? null, 'function');
    this.#listeners.add(type, listener);
    return this;
  }

  /** Takes back what `on` did. */
  off<T extends EventType>(type: T, listener: EventListener<T>): this {
    this.#listeners.delete(type, listener);
    return this;
  }

  /** How the session stands, right now. */
  status(): Status {
    return camelCased(JSON.parse(this.#driver.status())) as Status;
  }

  /** Why the session is closed: what every call on it now rejects with. Undefined while it is open. */
  get closed(): GreenroomError | undefined {
    const { closed } = JSON.parse(this.#driver.status()) as { closed?: object | null };
    return closed ? errorFromJson(JSON.stringify(closed)) : undefined;
  }

  /**
   * Closes the session. An agent that was started for it ends with it; one of this process is left to its owner, and a
   * session that `open` gave runs on in its daemon. What is pending rejects with `SessionClosed`. Resolves once nothing of
   * the session is left here, within seconds. May be called again, and never rejects.
   */
  close(): Promise<void> {
    this.#closing ??= quiet(
      new Promise<void>((resolve) => {
        const token = this.#expect({ resolve: () => resolve(), reject: () => resolve() });
        this.#driver.close(token);
      }),
    );
    return this.#closing;
  }

  /**
   * Ends the session itself: the same as `close`, but that a session that `open` gave is ended in its daemon, for
   * everybody, as `greenroom end` does. May be called again.
   *
   * Rejects with `SessionTimeout` if the daemon does not end it within 30 s, and with `SessionClosed` if `close` has let
   * go of it already.
   */
  end(): Promise<void> {
    return quiet(this.#end());
  }

  async #end(): Promise<void> {
    if (this.#driver.endSession !== undefined) {
      await new Promise<unknown>((resolve, reject) => this.#driver.endSession?.(this.#expect({ resolve, reject })));
    }
    await this.close();
  }

  /** The same as `close`, for `await using`. */
  [asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Waits until the session is ready; else it is closed. */
  async ready(options: CallOptions): Promise<this> {
    try {
      const started = (await this.#call({ op: 'start' }, options)) as Started;
      Object.assign(this.started, started);
      return this;
    } catch (error) {
      // Who gave up does not wait for the agent's end.
      const closed = this.close();
      if (!options.signal?.aborted) await closed;
      throw error;
    }
  }

  /** Submits an operation. `read` makes of its answer what the caller gets. */
  #call(operation: object | (() => object), options: CallOptions = {}, read: Reader = whole): Promise<unknown> {
    return quiet(
      new Promise((resolve, reject) => {
        checkOptions('a call', options, CALL);
        const { signal, timeout } = options;
        signal?.throwIfAborted();
        const json = JSON.stringify(typeof operation === 'function' ? operation() : operation);
        const deadline = millis('timeout', timeout);
        const token = this.#expect({
          resolve: (answer) => {
            signal?.removeEventListener('abort', abort);
            resolve(read(answer as Record<string, unknown>));
          },
          reject: (error) => {
            signal?.removeEventListener('abort', abort);
            reject(error);
          },
        });
        let call: number | undefined;
        const abort = () => {
          if (call !== undefined) this.#driver.cancel(call);
          this.#settle(token)?.reject(signal?.reason);
        };
        try {
          call = this.#driver.submit(json, deadline, token);
          signal?.addEventListener('abort', abort, { once: true });
        } catch (error) {
          this.#settle(token)?.reject(errorFromNative(error));
        }
      }),
    );
  }

  /** Expects an answer, and keeps Node running until it is there. */
  #expect(call: Call): number {
    const token = this.#nextToken++;
    this.#calls.set(token, call);
    this.#hold();
    return token;
  }

  #settle(token: number): Call | undefined {
    const call = this.#calls.get(token);
    if (call !== undefined) {
      this.#calls.delete(token);
      this.#release();
    }
    return call;
  }

  /** Called when there are answers or events. Nothing may be thrown from here. */
  #drain(): void {
    for (const { token, ok, json } of this.#driver.drain()) {
      const call = this.#settle(token);
      if (ok) call?.resolve(camelCased(JSON.parse(json)));
      else call?.reject(errorFromJson(json));
    }
    this.#listeners.deliver();
    for (const listener of [...this.#news]) listener();
  }

  #hold(): void {
    if (this.#holds++ === 0) {
      awaited.add(this);
      this.#driver.ref();
    }
  }

  #release(): void {
    if (--this.#holds === 0) {
      awaited.delete(this);
      this.#driver.unref();
    }
  }

  static {
    shareClass(this, 'Session');
  }
}

/** Makes of an answer what its caller gets. */
type Reader = (answer: Record<string, unknown>) => unknown;

/** An answer without its tag. */
function whole({ answer: _, ...rest }: Record<string, unknown>): object {
  return rest;
}

function part(name: string): Reader {
  return (answer) => answer[name];
}

function nothing(): void {}

/** `toolCalls` repeats events, so that it is left out where a turn is printed, compared or made JSON of. */
function turnOf(answer: Record<string, unknown>): Turn {
  const turn = whole(answer) as Turn;
  const audio: unknown = turn.voice?.audio;
  if (turn.voice !== undefined && typeof audio === 'string') turn.voice.audio = decoded(audio);
  const toolCalls = turn.events.filter((event) => event.type === 'tool_call' && !event.earlier);
  return Object.defineProperty(turn, 'toolCalls', { value: toolCalls });
}
