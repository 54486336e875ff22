// Reports to the launcher how the entrypoint of an agent of @livekit/agents ends, where nothing else would.
//
// Node loads it before anything of the agent. It changes one builtin method until the SDK has called it for the
// job: `AsyncLocalStorage.prototype.run`, with which the SDK calls the entrypoint, whatever way it was imported.
// It reports a job that was shut down, and an entrypoint that returned, without a session. It prints nothing else
// and throws nothing: an SDK that has changed works without.

import { AsyncLocalStorage } from 'node:async_hooks';
import { writeSync } from 'node:fs';

// How long nothing may be under way before an entrypoint counts as one that starts no session, and how often that
// is looked at.
const QUIET_MS = 500;
const LOOK_MS = 50;

// The launcher cuts long lines.
const REASON_CHARS = 1000;

const mark = process.env.GREENROOM_MARK;
delete process.env.GREENROOM_MARK;

/** Reports on a line with the mark that the launcher believes. */
function report(fields) {
  try {
    writeSync(2, `greenroom: ${mark} ${JSON.stringify(fields)}\n`);
  } catch {
    // Nothing reads it.
  }
}

/** The kinds of what keeps the event loop alive, each with its count. */
function underWay() {
  const counts = new Map();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/** Looks at a job whose entrypoint has returned until it has a session, has ended, or can never have one. */
function watch(job, before, end) {
  let quietSince;
  const look = () => {
    try {
      if (job._primaryAgentSession !== undefined) return;
      if (end.reason !== undefined) {
        report({ job_ends: end.reason });
        return;
      }
      const isBusy = [...underWay()].some(([kind, count]) => count > (before.get(kind) ?? 0));
      const now = performance.now();
      quietSince = isBusy ? undefined : (quietSince ?? now);
      if (quietSince !== undefined && now - quietSince >= QUIET_MS) {
        report({ entrypoint_returned: true });
        return;
      }
      setTimeout(look, LOOK_MS).unref();
    } catch {
      // Left unsaid.
    }
  };
  look();
}

/** Notes the reason of the job's first shutdown. */
function noteShutdown(job, end) {
  const { shutdown } = job;
  const value = function (...args) {
    end.reason ??= String(args[0] ?? '').slice(0, REASON_CHARS);
    return Reflect.apply(shutdown, this, args);
  };
  Object.defineProperty(job, 'shutdown', { value, configurable: true, writable: true });
}

function isJob(store) {
  return (
    typeof store === 'object' && store !== null && '_primaryAgentSession' in store && typeof store.shutdown === 'function'
  );
}

const method = Object.getOwnPropertyDescriptor(AsyncLocalStorage.prototype, 'run');

function run(store, entrypoint, ...args) {
  const isEntry = (() => {
    try {
      return typeof entrypoint === 'function' && isJob(store);
    } catch {
      return false;
    }
  })();
  if (!isEntry) return Reflect.apply(method.value, this, [store, entrypoint, ...args]);
  if (AsyncLocalStorage.prototype.run === run) Object.defineProperty(AsyncLocalStorage.prototype, 'run', method);
  const end = {};
  let before;
  try {
    noteShutdown(store, end);
    before = underWay();
  } catch {
    // Left unwatched.
  }
  const result = Reflect.apply(method.value, this, [store, entrypoint, ...args]);
  // What it throws, the SDK reports.
  if (before !== undefined) Promise.resolve(result).then(() => watch(store, before, end)).catch(() => {});
  return result;
}

if (mark && method?.configurable && typeof process.getActiveResourcesInfo === 'function') {
  Object.defineProperty(AsyncLocalStorage.prototype, 'run', { ...method, value: run });
}
