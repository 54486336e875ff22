//! Times of day as text and as JSON.

use std::time::{Duration, SystemTime};

use greenroom_protocol::message::{EventKind, Inbound};
use greenroom_protocol::time::{Time, Timestamp, WallClock};
use greenroom_protocol::wire::{self, agent_session_event as event, chat_context};
use prost::Message as _;

#[test]
fn a_time_of_day_is_rfc_3339_with_microseconds_and_comes_back() {
    for (given, text) in [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        ("2026-11-21T07:08:09.5Z", "2026-11-21T07:08:09.500000Z"),
        ("2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:59.999999Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"),
    ] {
        let at: Timestamp = given.parse().unwrap();
        assert_eq!(at.to_string(), text);
        assert_eq!(serde_json::to_string(&at).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Timestamp>(&format!("\"{text}\"")).unwrap(), at);
        assert_eq!(Timestamp::of(SystemTime::from(at)), Some(at));
    }
    for none in ["", "yesterday", "2026-11-21", "2026-13-01T00:00:00Z"] {
        assert!(none.parse::<Timestamp>().is_err(), "{none}");
    }
    assert_eq!(Timestamp::of(SystemTime::UNIX_EPOCH - Duration::from_nanos(1)), None);
}

#[test]
fn a_wall_clock_tells_the_times_after_its_reading() {
    let clock = WallClock::new(Time::from_origin(Duration::from_secs(5)), SystemTime::UNIX_EPOCH);
    assert_eq!(
        clock.at(Time::from_origin(Duration::from_millis(6_250))).to_string(),
        "1970-01-01T00:00:01.250000Z"
    );
}

#[test]
fn a_time_of_the_wire_that_no_calendar_has_is_left_out() {
    let tells = |seconds, nanos| {
        let handoff = wire::AgentHandoff {
            created_at: Some(prost_types::Timestamp { seconds, nanos }),
            ..Default::default()
        };
        let item =
            chat_context::ChatItem { item: Some(chat_context::chat_item::Item::AgentHandoff(handoff)) };
        let added = event::ConversationItemAdded { item: Some(item) };
        let event = wire::AgentSessionEvent {
            created_at: None,
            event: Some(event::Event::ConversationItemAdded(added)),
        };
        let message = wire::agent_session_message::Message::Event(event);
        let bytes = wire::AgentSessionMessage { message: Some(message) }.encode_to_vec();
        let Ok(Inbound::Events { events, .. }) = Inbound::decode(&bytes.into()) else { panic!("no event") };
        let [EventKind::Handoff(handoff)] = events.as_slice() else { panic!("{events:?}") };
        handoff.created_at.map(|at| at.to_string())
    };
    assert_eq!(tells(1, 500_000_000).as_deref(), Some("1970-01-01T00:00:01.500000Z"));
    assert_eq!(tells(2, -500_000_000).as_deref(), Some("1970-01-01T00:00:01.500000Z"));
    assert_eq!(tells(253_402_300_799, 0).as_deref(), Some("9999-12-31T23:59:59.000000Z"));
    for (seconds, nanos) in [(253_402_300_800, 0), (-1, 0), (i64::MAX, i32::MAX), (i64::MIN, i32::MIN)] {
        assert_eq!(tells(seconds, nanos), None, "{seconds} {nanos}");
    }
}
