// A bare agent for tests of faults: it speaks the wire by @livekit/agents' own protobuf library, and does what it is
// told, by what is said to it. The environment variable PEER says how it begins:
//
//   (unset)   it connects and answers
//   absent    it never connects
//   mute      it connects and says nothing
//   crash     it ends at once, with a last word
//   stubborn  it answers, and ignores signals that ask it to end

import { connect } from 'node:net';
import { AgentSession as pb } from '@livekit/protocol';

const MIB = 1 << 20;
const history = [];
let turns = 0;

/** What happens when a word is said. Each gets the request and sends what it likes. */
const WORDS = {
  // No answer, ever.
  hang: () => {},
  // The process is gone in the middle of a turn.
  die: () => process.kill(process.pid, 'SIGKILL'),
  // A frame whose payload is no message, then the answer.
  garbage: (request) => {
    sendFrame(Buffer.alloc(16, 0xff));
    reply(request, 'after garbage');
  },
  // A frame over the cap of 16 MiB, then the answer.
  oversize: (request) => {
    sendFrame(Buffer.alloc(17 * MIB));
    reply(request, 'after an oversize frame');
  },
  // An answer over the cap.
  enormous: (request) => reply(request, 'x'.repeat(17 * MIB)),
  // A length that nobody means.
  endless: () => socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff])),
  // Half a frame, then the end of the link.
  truncated: () => socket.end(Buffer.from([0, 0, 0, 100, 1, 2, 3])),
  // The end of the link; the process lives on.
  leave: () => socket.end(),
  // A reply of 400 KB.
  big: (request) => reply(request, 'x'.repeat(400_000)),
  // Ten thousand events, then the answer.
  flood: (request) => {
    for (let i = 0; i < 10_000; i++) send({ case: 'event', value: debug(i) });
    reply(request, 'flooded');
  },
  // An error.
  fail: (request) => respond(request, { case: 'runInput', value: new pb.SessionResponse_RunInputResponse() }, 'it broke'),
};

const mode = process.env.PEER;
if (mode === 'crash') {
  console.error('the last word');
  process.exit(3);
}
process.on('SIGINT', () => mode === 'stubborn' || process.exit(0));
const [host, port] = process.argv[process.argv.indexOf('--connect-addr') + 1].split(':');
const socket = mode === 'absent' ? undefined : connect({ host, port: Number(port) });
// It lives until it is ended: neither the link's end nor its absence ends it.
setInterval(() => {}, 1 << 30);
socket?.on('error', () => {});
socket?.setNoDelay(true);

let received = Buffer.alloc(0);
socket?.on('data', (chunk) => {
  received = Buffer.concat([received, chunk]);
  while (received.length >= 4 && received.length >= 4 + received.readUInt32BE()) {
    const end = 4 + received.readUInt32BE();
    const { message } = pb.AgentSessionMessage.fromBinary(received.subarray(4, end));
    received = received.subarray(end);
    if (mode !== 'mute' && message.case === 'request') handle(message.value);
  }
});

function handle(request) {
  const { case: kind, value } = request.request;
  switch (kind) {
    case 'ping':
      return respond(request, { case: 'pong', value: new pb.SessionResponse_Pong() });
    case 'updateIo':
      return respond(request, { case: 'updateIo', value: new pb.SessionResponse_UpdateIOResponse() });
    case 'getFrameworkInfo':
      return respond(request, {
        case: 'getFrameworkInfo',
        value: new pb.SessionResponse_GetFrameworkInfoResponse({ sdk: 'peer', sdkVersion: '0' }),
      });
    case 'getSessionState':
      return respond(request, {
        case: 'getSessionState',
        value: new pb.SessionResponse_GetSessionStateResponse({
          agentState: pb.AgentState.AS_LISTENING,
          userState: pb.UserState.US_LISTENING,
          agentId: 'peer',
          options: { some_option: 'left_alone' },
        }),
      });
    case 'getChatHistory':
      return respond(request, {
        case: 'getChatHistory',
        value: new pb.SessionResponse_GetChatHistoryResponse({ items: history }),
      });
    case 'runInput': {
      turns++;
      item(pb.ChatRole.USER, value.text);
      const act = WORDS[value.text] ?? ((request) => reply(request, `echo: ${value.text}`));
      return act(request);
    }
  }
}

function reply(request, text) {
  const said = item(pb.ChatRole.ASSISTANT, text);
  respond(request, { case: 'runInput', value: new pb.SessionResponse_RunInputResponse({ items: [said] }) });
}

/** Adds a message to the conversation and tells of it, unless it is too large for that. */
function item(role, text) {
  const payload = { case: 'text', value: text };
  const message = new pb.ChatMessage({ id: `item-${turns}-${role}`, role, content: [{ payload }] });
  const item = new pb.ChatContext_ChatItem({ item: { case: 'message', value: message } });
  history.push(item);
  const added = new pb.AgentSessionEvent_ConversationItemAdded({ item });
  if (text.length < MIB) {
    send({ case: 'event', value: new pb.AgentSessionEvent({ event: { case: 'conversationItemAdded', value: added } }) });
  }
  return item;
}

function debug(number) {
  const value = pb.DebugMessage.fromJson({ payload: { some_number: number } });
  return new pb.AgentSessionEvent({ event: { case: 'debugMessage', value } });
}

function respond({ requestId }, response, error) {
  send({ case: 'response', value: new pb.SessionResponse({ requestId, response, error }) });
}

function send(message) {
  sendFrame(new pb.AgentSessionMessage({ message }).toBinary());
}

function sendFrame(payload) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(payload.length);
  socket.write(Buffer.concat([length, payload]));
}
