// A coffee shop agent that is spoken to, and needs no key and no network: it hears and sings
// melodies (`melody.mjs`).
//
//     await using session = await start('voice_agent.mjs', { audio: true });
//     await session.say('hi', { tts: sing });         it echoes
//     await session.say('weather', { tts: sing });    it calls a tool
//     await session.say('story', { tts: sing });      it talks for a while, to be interrupted
//
// To make it your own, replace the LLM, STT, TTS and VAD by real ones. Nothing else has to change.

import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { DEFAULT_API_CONNECT_OPTIONS, ServerOptions, cli, defineAgent, llm, voice } from '@livekit/agents';
import { z } from 'zod';
import { MelodySTT, MelodyTTS, MelodyVAD } from './melody.mjs';

const STORY = 'Once upon a time there was a bean that wanted to be a cup of coffee and went out into the world '.repeat(2);

/** Stands in for a language model: the first word said decides the answer. */
class ScriptedLLM extends llm.LLM {
  label() {
    return 'voice_agent.ScriptedLLM';
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
      this.#send({ content: `the tool said ${JSON.parse(last.output)}` });
      return;
    }
    const text = (last.type === 'message' && last.textContent) || '';
    const word = text.trim().split(/\s+/, 1)[0];
    if (word === 'weather') {
      const callId = `call_${randomUUID().slice(0, 12)}`;
      const args = JSON.stringify({ location: 'Tokyo' });
      this.#send({ toolCalls: [llm.FunctionCall.create({ callId, name: 'lookup_weather', args })] });
    } else {
      this.#send({ content: word === 'story' ? STORY : `echo ${text}` });
    }
  }

  #send(delta) {
    this.queue.put({ id: 'scripted', delta: { role: 'assistant', ...delta } });
  }
}

/** Takes the orders. */
class Barista extends voice.Agent {
  constructor() {
    super({
      instructions: 'You are the barista of a coffee shop.',
      tools: {
        lookup_weather: llm.tool({
          description: 'Look up the weather.',
          parameters: z.object({ location: z.string().describe('The city to look it up for.') }),
          execute: async ({ location }) => `Sunny in ${location}`,
        }),
      },
    });
  }
}

export default defineAgent({
  entry: async (ctx) => {
    const session = new voice.AgentSession({
      llm: new ScriptedLLM(),
      stt: new MelodySTT(),
      tts: new MelodyTTS(),
      vad: new MelodyVAD(),
      turnHandling: {
        // A melody has no pauses: a silence of this length ends it.
        turnDetection: 'vad',
        endpointing: { minDelay: 100, maxDelay: 500 },
        interruption: { mode: 'vad', minDuration: 100 },
      },
      // Nothing echoes, so it may be interrupted from the first word on.
      aecWarmupDuration: null,
      // No timer, so that the events of a turn do not depend on the machine's speed.
      userAwayTimeout: null,
    });
    await session.start({ agent: new Barista(), room: ctx.room });
    await ctx.connect();
  },
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  cli.runApp(new ServerOptions({ agent: fileURLToPath(import.meta.url) }));
}
