//! A bare scripted agent: give it as the interpreter of a Python agent, and it answers the launcher's question for the SDK's version,
//! then speaks the wire itself. It holds no SDK, so that a test can have fifty of it and make it do what no SDK does.
//!
//! `GREENROOM_PEER` picks how it behaves before the first request: `normal` (default), `never` (does not connect), `mute` (connects and
//! never answers), `crash` (ends at once with a traceback), `marker` (logs that the job crashed and stays), `greet` (greets), `voice`
//! (answers aloud, at once, when it has heard half a second of sound).
//! Later on the text of a turn does: see [`Peer::run`].

mod wire;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use greenroom_protocol::wire as proto;
use proto::agent_session_event::Event;
use proto::agent_session_message::Message;
use proto::session_request::Request;
use proto::session_response as response;
use proto::session_response::Response;
use proto::{AgentState, ChatRole};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.iter().any(|arg| arg == "-c") && !args.iter().any(|arg| arg == "--connect-addr") {
        println!("\ngreenroom-python=3.11.0\ngreenroom-sdk=1.8.9");
        return;
    }
    let address = args.iter().skip_while(|arg| *arg != "--connect-addr").nth(1).cloned();
    let Some(address) = address else {
        eprintln!("the scripted peer was run without --connect-addr: {args:?}");
        std::process::exit(2);
    };
    let mode = std::env::var("GREENROOM_PEER").unwrap_or_default();
    match mode.as_str() {
        "never" => sleep_for_ever(),
        "crash" => {
            eprintln!(
                "Traceback (most recent call last):\n  File \"agent.py\", line 1\nValueError: crash on purpose"
            );
            std::process::exit(1);
        }
        "marker" => {
            println!("{{\"message\": \"job crashed\"}}");
            sleep_for_ever();
        }
        _ => {}
    }
    println!("the scripted peer connects to {address}");
    let stream = TcpStream::connect(&address).expect("the session listens");
    stream.set_nodelay(true).expect("a socket takes options");
    if mode == "mute" {
        sleep_for_ever();
    }
    let voice = (mode == "voice").then(Voice::default);
    Peer { stream, items: Vec::new(), next_item: 0, voice }.serve(mode == "greet");
}

struct Peer {
    stream: TcpStream,
    items: Vec<proto::chat_context::ChatItem>,
    next_item: u64,
    voice: Option<Voice>,
}

/// What a peer that hears has heard.
#[derive(Default)]
struct Voice {
    /// Samples that could be heard since it last answered.
    heard: usize,
}

impl Peer {
    fn serve(mut self, greet: bool) {
        self.event(wire::agent_state(AgentState::AsInitializing, AgentState::AsListening));
        if greet {
            self.say("welcome");
        }
        while let Some(request) = self.read() {
            if let Some(Request::RunInput(run)) = request.request {
                self.run(&request.request_id, &run.text);
                continue;
            }
            let answer = match request.request {
                Some(Request::Ping(_)) => Response::Pong(response::Pong {}),
                Some(Request::GetChatHistory(_)) => {
                    Response::GetChatHistory(response::GetChatHistoryResponse { items: self.items.clone() })
                }
                Some(Request::GetFrameworkInfo(_)) => {
                    Response::GetFrameworkInfo(response::GetFrameworkInfoResponse {
                        sdk: "peer".to_owned(),
                        sdk_version: "0".to_owned(),
                    })
                }
                Some(Request::GetSessionState(_)) => {
                    Response::GetSessionState(response::GetSessionStateResponse {
                        agent_state: AgentState::AsListening.into(),
                        agent_id: "peer".to_owned(),
                        ..Default::default()
                    })
                }
                Some(Request::GetAgentInfo(_)) => Response::GetAgentInfo(response::GetAgentInfoResponse {
                    id: "peer".to_owned(),
                    instructions: Some("be scripted".to_owned()),
                    ..Default::default()
                }),
                Some(Request::UpdateIo(_)) => Response::UpdateIo(response::UpdateIoResponse {}),
                Some(Request::GetSessionUsage(_)) => {
                    Response::GetSessionUsage(response::GetSessionUsageResponse::default())
                }
                Some(Request::GetRtcStats(_)) => {
                    Response::GetRtcStats(response::GetRtcStatsResponse::default())
                }
                Some(Request::FinalizeSimulation(_)) => {
                    Response::FinalizeSimulation(response::FinalizeSimulationResponse::default())
                }
                // As the SDKs do: what is not known is not answered.
                Some(Request::RunInput(_)) | None => continue,
            };
            self.answer(&request.request_id, None, answer);
        }
    }

    /// One turn. The first word says what happens; anything else is echoed.
    fn run(&mut self, id: &str, text: &str) {
        let said = wire::message(&self.new_id(), ChatRole::User, text);
        self.items.push(said.clone());
        self.event(wire::item_added(said));
        let mut words = text.split_whitespace();
        let word = words.next().unwrap_or_default();
        let number = words.next().and_then(|word| word.parse::<usize>().ok()).unwrap_or(1);
        match word {
            // The process ends as if it was killed.
            "crash" => std::process::exit(9),
            // The connection closes, the process stays.
            "hangup" => {
                let _ = self.stream.shutdown(std::net::Shutdown::Both);
                sleep_for_ever();
            }
            "hang" => return,
            "slow" => std::thread::sleep(Duration::from_millis(number as u64)),
            "log" => println!("{}", "l".repeat(number)),
            "garbage" => self.frame(&[0xff, 0xff, 0xff]),
            // Announces a frame, sends half of it and closes.
            "truncated" => {
                let _ = self.stream.write_all(&1000_u32.to_be_bytes());
                let _ = self.stream.write_all(&[8; 500]);
                let _ = self.stream.shutdown(std::net::Shutdown::Both);
                sleep_for_ever();
            }
            // Announces what nobody can skip.
            "absurd" => {
                let _ = self.stream.write_all(&u32::MAX.to_be_bytes());
                sleep_for_ever();
            }
            // So many events that nobody asked for, after the answer.
            "flood" => {
                self.reply(id, "flooding");
                for n in 0..number {
                    self.event(wire::item_added(wire::message(
                        &format!("flood-{n}"),
                        ChatRole::Assistant,
                        "x",
                    )));
                }
                return;
            }
            "big" => return self.reply(id, &"x".repeat(number)),
            "silent" => {
                return self.answer(id, None, Response::RunInput(response::RunInputResponse::default()));
            }
            "fail" => {
                let nothing = Response::RunInput(response::RunInputResponse::default());
                return self.answer(id, Some("failed on purpose"), nothing);
            }
            _ => {}
        }
        self.reply(id, &format!("echo: {text}"));
    }

    fn reply(&mut self, id: &str, text: &str) {
        let item = self.say(text);
        self.answer(id, None, Response::RunInput(response::RunInputResponse { items: vec![item] }));
    }

    fn say(&mut self, text: &str) -> proto::chat_context::ChatItem {
        let item = wire::message(&self.new_id(), ChatRole::Assistant, text);
        self.items.push(item.clone());
        self.event(wire::item_added(item.clone()));
        item
    }

    /// Answers with half a second of sound as soon as it has heard as much.
    fn hear(&mut self, samples: &[u8]) {
        let Some(voice) = &mut self.voice else { return };
        voice.heard +=
            samples.chunks_exact(2).filter(|pair| pair[1].cast_signed().unsigned_abs() >= 4).count();
        if voice.heard < greenroom_test_peer::SPOKEN {
            return;
        }
        voice.heard = 0;
        let said = wire::message(&self.new_id(), ChatRole::User, "a sound");
        self.event(wire::transcribed("a sound"));
        self.event(wire::item_added(said));
        self.event(wire::agent_state(AgentState::AsListening, AgentState::AsSpeaking));
        self.send(wire::speech(greenroom_test_peer::SPOKEN));
        self.send(Message::AudioPlaybackFlush(Default::default()));
    }

    fn new_id(&mut self) -> String {
        self.next_item += 1;
        format!("item_{}", self.next_item)
    }

    fn event(&mut self, event: Event) {
        let event = proto::AgentSessionEvent { created_at: None, event: Some(event) };
        self.send(Message::Event(event));
    }

    fn answer(&mut self, id: &str, error: Option<&str>, response: Response) {
        self.send(Message::Response(proto::SessionResponse {
            request_id: id.to_owned(),
            error: error.map(str::to_owned),
            response: Some(response),
        }));
    }

    fn send(&mut self, message: Message) {
        let bytes = prost::Message::encode_to_vec(&proto::AgentSessionMessage { message: Some(message) });
        self.frame(&bytes);
    }

    fn frame(&mut self, message: &[u8]) {
        let mut frame = (message.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(message);
        if self.stream.write_all(&frame).is_err() {
            sleep_for_ever();
        }
    }

    fn read(&mut self) -> Option<proto::SessionRequest> {
        loop {
            let mut prefix = [0; 4];
            self.stream.read_exact(&mut prefix).ok()?;
            let mut message = vec![0; u32::from_be_bytes(prefix) as usize];
            self.stream.read_exact(&mut message).ok()?;
            let message = <proto::AgentSessionMessage as prost::Message>::decode(message.as_slice()).ok()?;
            match message.message {
                Some(Message::Request(request)) => return Some(request),
                Some(Message::AudioInput(frame)) => self.hear(&frame.data),
                Some(Message::AudioPlaybackFinished(_)) if self.voice.is_some() => {
                    self.say("heard");
                    self.event(wire::agent_state(AgentState::AsSpeaking, AgentState::AsListening));
                }
                _ => {}
            }
        }
    }
}

/// The launcher ends it.
fn sleep_for_ever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
