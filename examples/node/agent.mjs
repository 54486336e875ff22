// A coffee shop agent that needs no key and no network: its LLM is a script.
//
// Say something to it:
//
//     greenroom start agent.mjs
//     greenroom say "hi"          it echoes
//     greenroom say "weather"     it calls a tool
//     greenroom say "boom"        it calls a tool that fails
//     greenroom say "silent"      it does something and says nothing
//     greenroom say "handoff"     the billing agent becomes active and introduces itself
//     greenroom say "fail"        its LLM breaks down
//     greenroom say "slow"        it answers after two seconds
//     greenroom say "big"         it answers with 400,000 characters
//     greenroom end
//
// Start it with GREET=1 in the environment and it speaks first.
//
// To make it your own, replace `ScriptedLLM` by a real model. Nothing else has to change.

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DEFAULT_API_CONNECT_OPTIONS, ServerOptions, cli, defineAgent, llm, voice } from '@livekit/agents';
import { z } from 'zod';

const SLOW_MS = 2000;
const BIG_REPLY = 'x'.repeat(400_000);

// The word that opens what the user says, and the tool that the LLM then calls.
const TOOL_CALLS = {
  weather: ['lookup_weather', { location: 'Tokyo' }],
  boom: ['boom', {}],
  silent: ['stay_silent', {}],
  handoff: ['to_billing', {}],
};

/** Stands in for a language model: the first word said decides the answer. */
class ScriptedLLM extends llm.LLM {
  label() {
    return 'agent.ScriptedLLM';
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
      this.#say(`The tool said: ${toolText(last)}`);
      return;
    }

    const text = (last.type === 'message' && last.textContent) || '';
    const word = text.trim().split(/\s+/, 1)[0].toLowerCase();
    if (Object.hasOwn(TOOL_CALLS, word)) {
      this.#call(...TOOL_CALLS[word]);
    } else if (word === 'fail') {
      throw new Error('the LLM is out of order');
    } else if (word === 'big') {
      this.#say(BIG_REPLY);
    } else {
      if (word === 'slow') await sleep(SLOW_MS);
      this.#say(`echo: ${text}`);
    }
  }

  #say(text) {
    this.#send({ content: text });
  }

  #call(name, args) {
    const callId = `call_${randomUUID().slice(0, 12)}`;
    const call = llm.FunctionCall.create({ callId, name, args: JSON.stringify(args) });
    this.#send({ toolCalls: [call] });
  }

  #send(delta) {
    this.queue.put({ id: 'scripted', delta: { role: 'assistant', ...delta } });
  }
}

/** The SDK encodes what a tool returns as JSON, but not what a failing tool says. */
function toolText({ output, isError }) {
  return isError ? output : JSON.parse(output);
}

// What every agent of the shop can do.
const shopTools = {
  lookup_weather: llm.tool({
    description: 'Look up the weather.',
    parameters: z.object({ location: z.string().describe('The city to look it up for.') }),
    execute: async ({ location }) => `Sunny in ${location}`,
  }),
  boom: llm.tool({
    description: 'Use the espresso machine, which is broken.',
    execute: async () => {
      throw new llm.ToolError('the espresso machine is broken');
    },
  }),
  stay_silent: llm.tool({
    description: 'Take a note. A tool without a result asks for no reply.',
    execute: async () => undefined,
  }),
};

/** Takes the orders. */
class Barista extends voice.Agent {
  constructor() {
    super({
      instructions: 'You are the barista of a coffee shop.',
      tools: {
        ...shopTools,
        to_billing: llm.tool({
          description: 'Hand the customer over to the billing agent.',
          execute: async () => llm.handoff({ agent: new Billing() }),
        }),
      },
    });
  }

  async onEnter() {
    if (process.env.GREET) this.session.say('Welcome to the coffee shop!');
  }
}

/** Takes the money. */
class Billing extends voice.Agent {
  constructor() {
    super({ instructions: 'You are the cashier of a coffee shop.', tools: shopTools });
  }

  async onEnter() {
    this.session.say('Billing here, how can I help?');
  }
}

export default defineAgent({
  entry: async (ctx) => {
    // No timer, so that the events of a turn do not depend on the machine's speed.
    const session = new voice.AgentSession({ llm: new ScriptedLLM(), userAwayTimeout: null });
    // There is no TTS: with audio on, `say` would be refused.
    session.output.setAudioEnabled(false);
    await session.start({ agent: new Barista(), room: ctx.room });
    await ctx.connect();
  },
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  cli.runApp(new ServerOptions({ agent: fileURLToPath(import.meta.url) }));
}
