// Generated from src/ by `make gen`.

/** Recording. It is closed when it is garbage-collected. */
export declare class CaptureDriver {
  /** What it is, as JSON, once it is open: `{device, rate, channels}`. */
  about(): string | null
  /** The next frame, or null. */
  pollFrame(): FramePolled | null
  /** The next event, as JSON, or null; `'null'` after the last. */
  pollEvent(): string | null
  /** What it has done so far, as JSON, in samples of each channel: `{samples, lost, dropped}`. */
  recorded(): string
  /** How many samples of each channel the function is to give; null while it is not to be called. */
  pollWanted(): number | null
  /** What the function gave: the bytes of samples of 16 bits, or floats, none at the end. */
  give(bytes: Uint8Array, isFloat: boolean): void
  /** The function failed. */
  fail(why: string): void
  /** Milliseconds since its clock began, from which the times of its frames count: 500 ms before it was opened. */
  age(): number
  /** Begins to close it. */
  close(): void
  /** Whether it is closed. */
  pollClosed(): boolean
  /** Closes it and blocks until it is closed, for `timeout` milliseconds at most. Gives whether it is. For the process' exit. */
  waitClosed(timeout: number): boolean
  /** From now on it keeps Node alive. */
  ref(): void
  /** From now on it does not keep Node alive. */
  unref(): void
}

/** The answer to one call. */
export interface Completion {
  /** The number of the call. */
  token: number
  /** Whether `json` is an answer; else it is an error. */
  ok: boolean
  /** The answer or the error. */
  json: string
}

/** A session. It ends when it is closed, or garbage-collected. */
export declare class Driver {
  /**
   * Submits an operation, which is JSON; `timeout` is milliseconds, or null for the operation's default. The answer
   * is drained under `token`, exactly once. Returns the number to cancel it by.
   */
  submit(json: string, timeout: number | undefined | null, token: number): number
  /** Gives a call up. It is answered all the same, with the code `cancelled` if nothing else. */
  cancel(call: number): void
  /** Takes all answers. Read the events after this, not before, to miss no wake. */
  drain(): Array<Completion>
  /** Reads up to `most` events from place `from` on; 0 is the beginning of what is kept. */
  readEvents(from: number, most: number): EventsRead
  /** The place after the last event. */
  endOfEvents(): number
  /** How the session stands, as JSON. */
  status(): string
  /** Ends the session. What is drained under `token` says that its agent is gone. */
  close(token: number): void
  /** Ends the session itself, where closing only lets go of it. What is drained under `token` says how that went. */
  endSession(token: number): void
  /** From now on the session keeps Node alive. */
  ref(): void
  /** From now on the session does not keep Node alive. */
  unref(): void
}

/** What a reader of events finds. */
export interface EventsRead {
  /** A JSON array of events, oldest first. */
  json: string
  /** Where to read on. */
  next: number
}

/** A stretch of audio; without samples it is the end of the stream. */
export interface FramePolled {
  /** The samples, the channels of an instant side by side. */
  data?: Int16Array
  /** Milliseconds since the stream's clock began; see `age`. */
  time: number
  /** Samples of each channel that are missing before it. */
  lost: number
}

/**
 * What came in. `kind` says which fields there are: `host` has host, message and sender; `agent` identity and message; `skipped` identity,
 * announced and head; `cut` stream; `audit` json.
 */
export interface Incoming {
  /** Which of them it is. */
  kind: string
  /** The host that a request is for. */
  host?: number
  /** An encoded message. */
  message?: Buffer
  /** The identity of who asks. */
  sender?: string
  /** The identity of the agent. */
  identity?: string
  /** The size of the message that was skipped, in bytes. */
  announced?: number
  /** Its first bytes. */
  head?: Buffer
  /** The stream that nobody reads any more. */
  stream?: number
  /** A line of the audit log. */
  json?: string
}

/** Speech, and what was odd about the sound that it was made of. */
export interface MadeSpeech {
  /** Signed 16-bit little-endian samples, 48 kHz, mono. */
  samples: Buffer
  /** What was odd. */
  notes: Array<SoundNote>
}

/**
 * What to send next. `kind` says which fields there are: `send` has all, `done` only the ticket. A `send` without `to` goes to the same
 * as the `send` before.
 */
export interface Outgoing {
  /** Which of them it is. */
  kind: string
  /** Who waits for it; 0 is nobody. */
  ticket: number
  /** To whom: exactly these. */
  to?: Array<Recipient>
  /** The encoded message. */
  message?: Buffer
}

/** Messages of the agent in, messages for it out. Take them after each call, and when the session wakes. */
export declare class Pipe {
  /**
   * Makes a session over a pipe; `json` is `{start_timeout_ms, text_mode, sdk_version}`, and `wake`
   * is as in `start`.
   */
  constructor(json: string, wake: () => void)
  /** The session. Once only. */
  takeDriver(): Driver
  /** The agent can be reached. */
  open(): void
  /** Takes one message from the agent. */
  receive(message: Buffer): void
  /** Returns the next message for the agent, or null. */
  pollTransmit(): Buffer | null
  /** The agent cannot be reached any more; `reason` is one of the event `closed`. */
  closed(reason: string, message: string): void
}

/** Playing. It is closed when it is garbage-collected. */
export declare class PlaybackDriver {
  /** What it is, as JSON, once it is open: `{device, rate, channels}`. */
  about(): string | null
  /**
   * Writes the bytes of samples of 16 bits, or floats, the channels of an instant side by side, whole instants. Gives how many bytes
   * there was room for, or null.
   */
  pollWrite(bytes: Uint8Array, isFloat: boolean): number | null
  /** Has what was written played without waiting for more. */
  flush(): void
  /** Whether all that was written has been heard or dropped. */
  pollDrained(): boolean
  /** Drops what has not reached the device. */
  clear(): void
  /** What the function is to take; null while it is not to be called. */
  pollPlayed(): Int16Array | null
  /** The function took it. */
  taken(): void
  /** The function failed. */
  fail(why: string): void
  /** How far it has come, as JSON, in samples of each channel: `{written, heard, waiting, dropped}`. */
  position(): string
  /** The next event, as JSON, or null; `'null'` after the last. */
  pollEvent(): string | null
  /** Begins to close it; what has not been heard is not. */
  close(): void
  /** Whether it is closed. */
  pollClosed(): boolean
  /** Closes it and blocks until it is closed, for `timeout` milliseconds at most. Gives whether it is. For the process' exit. */
  waitClosed(timeout: number): boolean
  /** From now on it keeps Node alive. */
  ref(): void
  /** From now on it does not keep Node alive. */
  unref(): void
}

/** A participant that is sent something. */
export interface Recipient {
  /** The name it joined under. */
  identity: string
  /** Its stay in the room; empty for one that the room has not announced. */
  sid: string
}

/** The answer to one call of a room. */
export interface RoomCompletion {
  /** The number of the call. */
  token: number
  /** Whether `json` is an answer; else it is an error. */
  ok: boolean
  /** The answer or the error. */
  json: string
  /** The bytes that came with it. */
  bytes?: Buffer
}

/** A room. It is left when it is closed, or garbage-collected. */
export declare class RoomDriver {
  /** Submits a call, which is JSON, and the bytes that it sends. The answer is drained under `token`, exactly once. */
  submit(json: string, payload: Buffer, token: number): void
  /** Gives a call up, the join too. It is answered all the same, with the code `cancelled` if nothing else. */
  cancel(token: number): void
  /** Takes all answers. */
  drain(): Array<RoomCompletion>
  /** The room as it is now, as JSON; `null` before it is joined. */
  snapshot(): string
  /** A reader of what happens: the first one from the join on, later ones from now on. */
  openEvents(): number
  /** A reader of the streams of a topic that begin from now on. */
  receive(topic: string): number
  /** Lets go of a reader. */
  closeReader(reader: number): void
  /** Leaves the room. What is drained under `token` says that nothing is left of it. */
  close(token: number): void
  /** From now on the room keeps Node alive. */
  ref(): void
  /** From now on the room does not keep Node alive. */
  unref(): void
}

/** One for each Room. `now` is milliseconds on a monotonic clock of the caller's. */
export declare class RoomTopic {
  /** A topic that is not used yet. */
  constructor(now: number)
  /** An agent's session host uses the room. `json` is that of a `HostConfig` of the protocol. Returns its number. */
  openHost(json: string): number
  /** The agent's session host is gone: what waits for it is answered with an error. */
  closeHost(host: number): void
  /** A controller is addressed at this agent. */
  listen(agent: string): void
  /** Stops what one call of `listen` started. */
  unlisten(agent: string): void
  /**
   * The room announces a participant, or changes of one: whether it is of the kind agent, and
   * whether it publishes on behalf of one.
   */
  setParticipant(sid: string, identity: string, canManageAgentSession: boolean | undefined | null, isAgentKind: boolean, publishesOnBehalf: boolean, now: number): void
  /** A participant left. */
  removeParticipant(sid: string, now: number): void
  /** Ends or restarts sessions whose agent is not in the room any more. */
  checkAgents(isConnected: boolean): void
  /**
   * Opens a session with an agent in the room; `json` is `{agent, start_timeout_ms, local}`, and
   * `wake` is as in `start`.
   */
  attach(json: string, wake: () => void): Driver
  /** The number of attached sessions that are not closed. */
  sessions(): number
  /** Returns the identity of the agent that is named, or of the only one; null while it is not there. */
  findAgent(room: string, wanted?: string | undefined | null): string | null
  /** Throws the error for an agent that was not there within so many milliseconds. */
  throwNoAgent(room: string, wanted: string | undefined | null, within: number): void
  /**
   * A byte stream begins, of `announced` bytes if its sender said so. A hidden sender has no
   * identity and makes a claim. Returns the stream's number.
   */
  begin(identity: string, claim: string, announced: number | undefined | null, now: number): number
  /** More of a stream. Whether to go on reading it. */
  chunk(stream: number, data: Buffer, now: number): boolean
  /** A stream is complete. */
  end(stream: number, now: number): void
  /** A stream was broken off. */
  abort(stream: number, now: number): void
  /** An agent's session host sends a message, to `destination` alone if there is one. Returns a ticket. */
  fromAgent(host: number, message: Buffer, destination: string | undefined | null, now: number): number
  /** A controller sends a message to its agent. Returns a ticket. */
  send(message: Buffer, agent: string, now: number): number
  /** What came in, or null. */
  poll(): Incoming | null
  /** What to send next, or null. Who may have it is decided in this moment: send it before asking for the next. */
  pollSend(now: number): Outgoing | null
  /** The message of a ticket could not be sent. Returns whether it was a session's, which ends then. */
  sendFailed(ticket: number, why: string): boolean
  /** When to call `handleTimeout`, or null while nothing is awaited. */
  pollTimeout(): number | null
  /** Lets pass what is due. */
  handleTimeout(now: number): void
  /** What a host has counted, as JSON: `{requests, answered, denied, dropped, waiting, cut, peers}`. */
  status(host: number): string
}

/** Something that was odd about a sound. */
export interface SoundNote {
  /** A stable name. */
  code: string
  /** What it is. */
  message: string
}

/** Makes speech of samples that come in parts, as they come. */
export declare class SpeechStream {
  /** Of interleaved samples at `rate` Hz; of several channels, the named one or those that are heard. */
  constructor(rate: number, channels: number, named?: number | undefined | null)
  /** Takes 16-bit samples, and gives the speech that can be made of them so far. */
  take(samples: Buffer): Buffer
  /** What is odd about what has come so far. */
  notes(): Array<SoundNote>
  /** Nothing more comes: gives the rest. */
  finish(): Buffer
}

/**
 * Begins to record from a device, which is a function where `isFunction` says so; `options` is JSON. `wake` is called when it is time to
 * ask again for what was null.
 */
export declare function capture(options: string, isFunction: boolean, wake: () => void): CaptureDriver

/** Throws unless agents can be driven by this local participant; `local` is JSON. */
export declare function checkLocal(local: string): void

/** Credentials for a room, as JSON, made on a thread of Node's pool since an env file may be a named pipe. `request` is JSON. */
export declare function credentials(request: string): Promise<string>

/** Lists the real devices, as JSON, on a thread of Node's pool. */
export declare function devices(): Promise<string>

/** The codes of the table of errors that all languages share. */
export declare function errorCodes(): Array<string>

/** Whether a device of this name would be a virtual one. */
export declare function isVirtualDevice(name: string): boolean

/** Joins a room and drives the session of an agent in it; `options` is JSON. Returns at once; `wake` is as in `start`. */
export declare function join(options: string, wake: () => void): Driver

/**
 * Joins a room; `options` is JSON. Returns at once: the answer under `token` says that data can be sent, or why not.
 * `wake` is called when there is something to drain, once until the next `drain`.
 */
export declare function joinRoom(options: string, token: number, wake: () => void): RoomDriver

/** Speech in noise, `"white"`, `"babble"` or `"impulses"` of a seed, which is `snr` dB above it; both are at 48 kHz. */
export declare function noisy(samples: Buffer, noise: string, snr: number, seed: number): Buffer

/** Connects to the session that a daemon holds under `name`, on a thread of Node's pool; `wake` is as in `start`. */
export declare function open(name: string, wake: () => void): Promise<Driver>

/** Panics, so that a test sees what becomes of a panic. */
export declare function panic(message: string): void

/**
 * Begins to play to a device, which is a function where `isFunction` says so; `options` is JSON. `wake` is called when it is time to ask
 * again for what was null or false.
 */
export declare function playback(options: string, isFunction: boolean, wake: () => void): PlaybackDriver

/**
 * Runs `program` with `args` in the place of this very process: same process id, terminal and parent. Returns only
 * by throwing, when the program cannot be run or the platform has no such call. `runtime`, this process' own program,
 * runs JavaScript agents where there is no Node.
 */
export declare function replaceProcess(program: string, args: Array<string>, runtime: string): void

/** The speech in interleaved samples, at `rate` Hz: signed 16-bit, or floats; or in the content of a WAV file. */
export declare function speechFromPcm(samples: Buffer, rate: number, channels: number, isFloat: boolean, named?: number | undefined | null): MadeSpeech

/** The speech in a WAV file, of any rate and number of channels; of several, the named one or those that are heard. */
export declare function speechFromWav(path: string, named?: number | undefined | null): MadeSpeech

/**
 * Starts an agent; `options` is JSON. Returns at once: the operation `start` waits until the session is ready.
 * `wake` is called when there is something to drain or events to read, once until the next `drain`.
 */
export declare function start(options: string, wake: () => void): Driver

/** The version of the native code, which is the version of the package. */
export declare function version(): string

/** Writes speech into a WAV file. */
export declare function writeWav(path: string, samples: Buffer): void
