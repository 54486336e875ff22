//! The matrix of `tests/gate_cases.json` on a real server, with rooms of ours on both sides: who receives what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use greenroom_engine::protocol::message::{Operation, encode_request};
use greenroom_engine::protocol::session::{PERMISSION_DENIED, UNSUPPORTED_REQUEST};
use greenroom_engine::protocol::wire::agent_session_event::Event as Kind;
use greenroom_engine::protocol::wire::agent_session_message::Message;
use greenroom_engine::protocol::wire::{AgentSessionEvent, AgentSessionMessage};
use greenroom_room::Room;
use greenroom_room::{RoomEvent, SendOptions};
use prost::Message as _;
use serde::Deserialize;
use serde_json::json;

use crate::host::Agent;
use crate::venue::{Venue, eventually, knows, within};

const TOPIC: &str = "lk.agent.session";
const FENCE: &str = "fence";

#[derive(Deserialize)]
struct Cases {
    situations: Vec<Situation>,
}

#[derive(Deserialize)]
struct Situation {
    name: String,
    agent_grant: Option<bool>,
    participants: BTreeMap<String, About>,
    steps: Vec<Step>,
    expected: BTreeMap<String, BTreeMap<String, Received>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct About {
    grant: Option<bool>,
    hidden: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    SetGrant {
        set_grant: (String, bool),
    },
    Release {
        #[allow(dead_code, reason = "it is always true")]
        release: bool,
    },
    Ask {
        ask: Option<String>,
        #[serde(default)]
        hold: bool,
    },
}

/// What one participant receives.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
struct Received {
    responses: Vec<String>,
    events: Option<String>,
}

/// A participant who keeps all that it gets on the topic.
struct Person {
    room: Room,
    kept: Arc<Mutex<Kept>>,
    reading: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    received: Received,
    /// Ids and errors of responses, in order.
    answers: Vec<(String, Option<String>)>,
    /// The last fence that was read.
    fence: String,
}

impl Person {
    async fn join(venue: &Venue<'_>, name: &str, about: &About) -> Self {
        let mut grants = json!({ "hidden": about.hidden });
        if let Some(grant) = about.grant {
            grants["canManageAgentSession"] = json!(grant);
        }
        let (room, _) = venue.join_with(venue.token_with(name, &grants, "")).await;
        venue.announce(name);
        let kept = Arc::<Mutex<Kept>>::default();
        let mut streams = room.receive(TOPIC).unwrap();
        let keeps = Arc::clone(&kept);
        let reading = tokio::spawn(async move {
            while let Some(stream) = streams.next().await {
                let (name, from) = (stream.info.name.clone(), stream.info.from.clone());
                let content = stream.read_all().await.unwrap();
                if name.starts_with(FENCE) {
                    keeps.lock().unwrap().fence = name;
                } else {
                    assert_eq!(from, "agent");
                    keeps.lock().unwrap().keep(&content);
                }
            }
        });
        Self { room, kept, reading }
    }

    async fn ask(&self, id: &str, request: &str) {
        let message = match request {
            "ping" => encode_request(id, Operation::Ping).unwrap(),
            "run_input" => encode_request(id, Operation::Say { text: "hello".to_owned() }).unwrap(),
            "history" => encode_request(id, Operation::History).unwrap(),
            // A request of the number 200, which no release has.
            "unknown" => {
                let mut message = vec![0x22, 5 + id.len() as u8, 0x0a, id.len() as u8];
                message.extend_from_slice(id.as_bytes());
                message.extend_from_slice(b"\xc2\x0c\x00");
                message.into()
            }
            other => panic!("no such request: {other}"),
        };
        let sent = self.room.send_bytes(&message, SendOptions::new(TOPIC).to(["agent"]));
        within("a request", sent).await.unwrap();
    }

    fn has_answer(&self, id: &str) -> bool {
        self.kept.lock().unwrap().answers.iter().any(|(answered, _)| answered == id)
    }

    /// Waits until all is read that the agent sent before this call; `other` is anybody else.
    async fn caught_up(&self, agent: &Room, other: &Room, mark: &str) {
        let me = self.room.local().identity;
        let mut events = self.room.events();
        // Packets of one sender keep their order: what it sent before has come to this room.
        within("a fence", agent.publish(FENCE, mark.to_owned(), &[&me], true)).await.unwrap();
        within("the fence", async {
            loop {
                match events.next().await.unwrap() {
                    RoomEvent::Data(data) if data.payload == mark.as_bytes() => return,
                    _ => {}
                }
            }
        })
        .await;
        // Streams are read in the order in which they began: what had come is read.
        let mut options = SendOptions::new(TOPIC).to([me]);
        options.name = Some(mark.to_owned());
        within("a fence", other.send_bytes(b"", options)).await.unwrap();
        eventually("all is read", || self.kept.lock().unwrap().fence == mark).await;
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Kept {
    fn keep(&mut self, content: &[u8]) {
        match AgentSessionMessage::decode(content).unwrap().message {
            Some(Message::Response(response)) => {
                self.received.responses.push(match response.error.as_deref() {
                    None => "answer".to_owned(),
                    Some(PERMISSION_DENIED) => "denied".to_owned(),
                    Some(UNSUPPORTED_REQUEST) => "unsupported".to_owned(),
                    Some(other) => other.to_owned(),
                });
                self.answers.push((response.request_id, response.error));
            }
            Some(Message::Event(_)) => self.received.events = Some("all".to_owned()),
            other => panic!("{other:?}"),
        }
    }
}

/// An event that no request has caused.
fn event() -> Bytes {
    let error =
        greenroom_engine::protocol::wire::agent_session_event::Error { message: "overheard".to_owned() };
    let event = AgentSessionEvent { event: Some(Kind::Error(error)), ..Default::default() };
    AgentSessionMessage { message: Some(Message::Event(event)) }.encode_to_vec().into()
}

async fn play(situation: &Situation, request: &str) -> BTreeMap<String, Received> {
    let venue = Venue::new();
    let mut grants = json!({ "agent": true });
    if let Some(grant) = situation.agent_grant {
        grants["canManageAgentSession"] = json!(grant);
    }
    let agent = Agent::join_with(&venue, "agent", venue.token_with("agent", &grants, "agent")).await;
    let mut people = BTreeMap::new();
    for (name, about) in &situation.participants {
        let person = Person::join(&venue, name, about).await;
        if !about.hidden {
            knows(&agent.room, name, |known| known.sid == person.room.local().sid).await;
        }
        knows(&person.room, "agent", |agent| agent.is_active).await;
        people.insert(name.clone(), person);
    }
    let eve = &people["eve"];
    let mut fences = 0;
    let mut asked = 0;
    for step in &situation.steps {
        match step {
            Step::Ask { hold, .. } if request == "events" => {
                if !hold {
                    agent.emit(event());
                }
            }
            Step::Ask { ask, hold } => {
                let asker = &people[ask.as_ref().unwrap()];
                let id = format!("r{asked}");
                asked += 1;
                agent.hold(*hold);
                asker.ask(&id, request).await;
                // What nobody knows is answered by the guard; what a hidden participant asks, not at all.
                let is_held = *hold && request != "unknown";
                if is_held {
                    eventually("it is let in", || agent.held() > 0).await;
                } else if !situation.participants[ask.as_ref().unwrap()].hidden {
                    eventually("an answer", || asker.has_answer(&id)).await;
                }
            }
            Step::SetGrant { set_grant: (who, grant) } => {
                let permission = json!({
                    "canSubscribe": true, "canPublish": true, "canPublishData": true, "canManageAgentSession": grant,
                });
                venue.set_permission(who, &permission);
                knows(&agent.room, who, |known| known.can_manage_agent_session() == *grant).await;
                agent.meet();
            }
            Step::Release { .. } if request == "events" => agent.emit(event()),
            Step::Release { .. } => agent.hold(false),
        }
    }
    let last = format!("r{}", asked - usize::from(asked > 0));
    for (name, person) in people.iter().filter(|(name, _)| *name == "ann" && asked > 0) {
        if !situation.participants[name].hidden {
            eventually("the last answer", || person.has_answer(&last)).await;
        }
    }
    // What is sent keeps its order: so eve, who may not, asks last.
    eve.ask("eve", "ping").await;
    eventually("eve is denied", || eve.has_answer("eve")).await;
    for (name, person) in &people {
        let other =
            people.iter().find(|(other, _)| *other != name).map_or(&agent.room, |(_, other)| &other.room);
        fences += 1;
        person.caught_up(&agent.room, other, &format!("{FENCE}-{fences}")).await;
    }
    {
        let kept = eve.kept.lock().unwrap();
        assert_eq!(
            kept.answers,
            [("eve".to_owned(), Some(PERMISSION_DENIED.to_owned()))],
            "all that eve ever gets"
        );
        assert_eq!(kept.received.events, None);
    }
    let received = people.iter().filter(|(name, _)| *name != "eve");
    received.map(|(name, person)| (name.clone(), person.kept.lock().unwrap().received.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_in_a_real_room_receives_what_the_matrix_says() {
    let cases: Cases = serde_json::from_str(include_str!("../../../../tests/gate_cases.json")).unwrap();
    let mut ran = 0;
    for situation in &cases.situations {
        for (request, expected) in &situation.expected {
            let received = play(situation, request).await;
            for (name, about) in situation.participants.iter().filter(|(name, _)| *name != "eve") {
                // A real server names nobody who is hidden, so there the denial reaches nobody.
                let mut expected = if about.hidden {
                    Received::default()
                } else {
                    expected.get(name).cloned().unwrap_or_default()
                };
                // What the scripted agent would tell of a turn that is held, it tells when that is let go.
                expected.events = expected.events.filter(|events| events == "all");
                assert_eq!(received[name], expected, "{}: {request}: {name}", situation.name);
            }
            ran += 1;
        }
    }
    assert_eq!(ran, 46, "every situation with every request that it has");
}
