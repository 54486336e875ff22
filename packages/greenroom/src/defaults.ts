/** Default values of options. The Python package has the same, in seconds; a test compares them. */

/** @internal How long an agent may take to be ready, in milliseconds. */
export const START_TIMEOUT_MS = 60_000;

/** @internal The name of the session to open. */
export const NAME = 'default';

/** @internal How long a session that is opened may take to answer, in milliseconds. */
export const OPEN_TIMEOUT_MS = 10_000;

/** @internal Whether a uv project may be synced before it runs. */
export const SYNC = true;

/** @internal Whether the agent of a session keeps its audio. */
export const AUDIO = false;

/** @internal Whether the audio of an agent in this process is turned off. */
export const TEXT_MODE = true;

/** @internal How long each step of joining a room may take, in milliseconds. */
export const CONNECT_TIMEOUT_MS = 15_000;

/** @internal How long a token is valid, in milliseconds. */
export const TTL_MS = 600_000;

/** @internal The room of credentials. */
export const ROOM = 'general';

/** @internal How is recorded: Hz, channels, milliseconds. */
export const CAPTURE = { rate: 16_000, channels: 1, frameMs: 10, queue: 1000, latency: 'normal', timeout: 5000, clock: 'real_time' };

/** @internal How is played. */
export const PLAYBACK = { rate: 48_000, channels: 1, queue: 1000, latency: 'normal', timeout: 5000, clock: 'real_time' };
