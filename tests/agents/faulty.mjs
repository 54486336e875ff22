// An agent that ends or misbehaves, each way by a word: tests say it and look at what is known of it.
//
// Its LLM is a script. `tool NAME` calls that tool; with START in the environment it fails before it is ready.

import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  DEFAULT_API_CONNECT_OPTIONS,
  ServerOptions,
  beta,
  cli,
  defineAgent,
  getJobContext,
  llm,
  voice,
} from '@livekit/agents';

const START = process.env.START ?? '';
if (START === 'exit at import') process.exit(1);

// The words that open what the user says, and the tools that the LLM then calls.
const TOOL_CALLS = { 'two tools': ['slow_tool', 'fast_tool'], 'end call': ['end_call'] };

/** Writes down when the end begins, into the file that `MOMENT` names. */
function noteEnd() {
  if (process.env.MOMENT) writeFileSync(process.env.MOMENT, String(Date.now() / 1000));
}

/** Stands in for a language model. */
class ScriptedLLM extends llm.LLM {
  label() {
    return 'faulty.ScriptedLLM';
  }

  chat({ chatCtx, toolCtx, connOptions = DEFAULT_API_CONNECT_OPTIONS }) {
    return new ScriptedStream(this, { chatCtx, toolCtx, connOptions });
  }
}

/** One answer of the scripted LLM. */
class ScriptedStream extends llm.LLMStream {
  async run() {
    const last = this.chatCtx.items.at(-1);
    if (last.type === 'function_call_output') {
      this.#send({ content: `The tool said: ${last.output}` });
      return;
    }
    const text = (last.type === 'message' && last.textContent) || '';
    const names = text.startsWith('tool ') ? [text.slice(5).replaceAll(' ', '_')] : (TOOL_CALLS[text] ?? []);
    if (names.length > 0) {
      const toolCalls = names.map((name) =>
        llm.FunctionCall.create({ callId: `call_${randomUUID().slice(0, 12)}`, name, args: '{}' }),
      );
      this.#send({ toolCalls });
    } else if (text.startsWith('big ')) {
      this.#send({ content: 'x'.repeat(Number(text.slice(4))) });
    } else {
      this.#send({ content: `echo: ${text}` });
    }
  }

  #send(delta) {
    this.queue.put({ id: 'scripted', delta: { role: 'assistant', ...delta } });
  }
}

const tool = (name, description, execute) => llm.tool({ name, description, execute });

class FaultyAgent extends voice.Agent {
  constructor() {
    super({
      instructions: 'You fail.',
      tools: [
        tool('job_shutdown', 'End the job.', async () => {
          getJobContext().shutdown('the caller is done');
          return 'goodbye';
        }),
        tool('session_shutdown', 'End the session.', async (_, { ctx }) => {
          ctx.session.shutdown();
          return 'goodbye';
        }),
        tool('session_close', 'Close the session.', async (_, { ctx }) => {
          void ctx.session.close();
          return 'goodbye';
        }),
        tool('process_exit', 'Exit at once.', async () => {
          noteEnd();
          process.exit(7);
        }),
        tool('process_exit_well', 'Exit as if all were well.', async () => process.exit(0)),
        tool('unhandled_rejection', 'Reject what nothing waits for.', async () => {
          void Promise.reject(new RangeError('nothing waits for this'));
          await sleep(3_600_000);
        }),
        tool('unhandled_undefined', 'Reject with nothing.', async () => {
          // eslint-disable-next-line prefer-promise-reject-errors
          void Promise.reject(undefined);
          await sleep(3_600_000);
        }),
        tool('throw_undefined', 'Throw nothing.', async () => {
          throw undefined;
        }),
        tool('throw_late', 'Throw outside of any promise.', async () => {
          setTimeout(() => {
            throw new TypeError('thrown by a timer');
          }, 1);
          await sleep(3_600_000);
        }),
        tool('block_for_good', 'Block the event loop.', async () => {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_600_000);
        }),
        tool('block_for_a_while', 'Block the event loop for seven seconds.', async () => {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 7_000);
          return 'awake again';
        }),
        tool('surrogate', 'Return what is no Unicode text.', async () => 'ok \ud83d'),
        tool('bigint', 'Return what is no JSON.', async () => 10n),
        tool('read_metadata', 'Read what only a room has.', async () => {
          const participant = await getJobContext().waitForParticipant();
          return participant.metadata;
        }),
        tool('read_process', 'Read what the process was started with.', async () => {
          const names = Object.keys(process.env).filter((name) => ['GREENROOM_MARK', 'GREENROOM_PREPARE'].includes(name));
          return `execArgv ${JSON.stringify(process.execArgv)}, variables ${JSON.stringify(names)}`;
        }),
        tool('slow_tool', 'Answer late.', async () => {
          await sleep(500);
          return 'slow';
        }),
        tool('fast_tool', 'Answer at once.', async () => 'fast'),
        beta.createEndCallTool({ endInstructions: 'say goodbye' }),
      ],
    });
  }
}

export default defineAgent({
  entry: async (ctx) => {
    if (START === 'return') return;
    if (START === 'return busy') {
      // A while of work that comes to nothing.
      void sleep(1_500);
      return;
    }
    if (START === 'shutdown') {
      ctx.shutdown('nothing to do');
      return;
    }
    if (START === 'shutdown without a reason') {
      ctx.shutdown();
      return;
    }
    if (START === 'exit') process.exit(7);
    if (START === 'undefined') throw undefined;
    if (START === 'rejection') {
      void Promise.reject(new RangeError('nothing waits for this'));
      await sleep(3_600_000);
    }
    if (START === 'metadata') {
      const participant = await ctx.waitForParticipant();
      JSON.parse(participant.metadata);
    }
    const run = async () => {
      const session = new voice.AgentSession({ llm: new ScriptedLLM() });
      session.output.setAudioEnabled(false);
      session.on(voice.AgentSessionEventTypes.Close, noteEnd);
      await session.start({ agent: new FaultyAgent(), room: ctx.room });
      await ctx.connect();
    };
    if (START === 'start later') {
      void sleep(2_000).then(run);
      return;
    }
    await run();
  },
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  cli.runApp(new ServerOptions({ agent: fileURLToPath(import.meta.url) }));
}
