//! Who may do what: the decision table of the gate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use bytes::Bytes;
use greenroom_protocol::gate::{Decision, Peer, Policy, Scope, Scopes};
use greenroom_protocol::message::{Envelope, IoUpdate, Operation, encode_request};

const EVERY: [Scope; 3] = [Scope::Observe, Scope::Drive, Scope::Io];

fn peer(identity: &str, grant: Option<bool>) -> Peer {
    Peer { sid: format!("PA_{identity}"), identity: identity.to_owned(), can_manage_agent_session: grant }
}

fn request(bytes: impl Into<Bytes>) -> Envelope {
    Envelope::parse(bytes.into()).unwrap()
}

#[test]
fn only_a_known_participant_whose_grant_is_true_gets_in() {
    let policy = Policy::default();
    for scope in EVERY {
        assert_eq!(policy.decide(None, scope), Decision::DenyUnknown);
        assert_eq!(policy.decide(Some(&peer("a", None)), scope), Decision::DenyNoGrant, "unset is deny");
        assert_eq!(policy.decide(Some(&peer("a", Some(false))), scope), Decision::DenyNoGrant);
        assert_eq!(policy.decide(Some(&peer("a", Some(true))), scope), Decision::Allow);
    }
}

#[test]
fn the_author_narrows_what_the_grant_allows_and_never_widens_it() {
    let named = [
        ("nobody", Scopes::NONE),
        ("watcher", Scopes::of(&[Scope::Observe])),
        ("driver", Scopes::of(&[Scope::Observe, Scope::Drive])),
        ("all", Scopes::ALL),
    ];
    let by_identity: BTreeMap<_, _> =
        named.iter().map(|(name, scopes)| ((*name).to_owned(), *scopes)).collect();
    for default in [Scopes::NONE, Scopes::of(&[Scope::Io]), Scopes::ALL] {
        let policy = Policy { default, by_identity: by_identity.clone(), ..Policy::default() };
        let everyone = named.iter().copied().chain([("unnamed", default), ("", default)]);
        for ((identity, scopes), scope) in everyone.flat_map(|who| EVERY.map(|scope| (who, scope))) {
            let expected = if scopes.has(scope) { Decision::Allow } else { Decision::DenyScope(scope) };
            assert_eq!(
                policy.decide(Some(&peer(identity, Some(true))), scope),
                expected,
                "{identity} {scope:?}"
            );
            assert_eq!(
                policy.decide(Some(&peer(identity, None)), scope),
                Decision::DenyNoGrant,
                "{identity}"
            );
        }
    }
}

#[test]
fn a_set_holds_what_it_was_made_of() {
    for bits in 0..8_u8 {
        let scopes: Vec<Scope> = EVERY.into_iter().filter(|scope| bits & 1 << *scope as u8 != 0).collect();
        for scope in EVERY {
            assert_eq!(Scopes::of(&scopes).has(scope), scopes.contains(&scope));
        }
    }
    assert_eq!(Scopes::of(&EVERY), Scopes::ALL);
    assert_eq!(Scopes::of(&[]), Scopes::NONE);
}

#[test]
fn every_request_needs_its_scope() {
    let finalize =
        Operation::FinalizeSimulation { provisional_success: true, provisional_reason: String::new() };
    let table = [
        (Operation::Ping, Scope::Observe),
        (Operation::History, Scope::Observe),
        (Operation::AgentInfo, Scope::Observe),
        (Operation::SessionState, Scope::Observe),
        (Operation::RtcStats, Scope::Observe),
        (Operation::Usage, Scope::Observe),
        (Operation::FrameworkInfo, Scope::Observe),
        (Operation::UpdateIo(IoUpdate::text_mode()), Scope::Io),
        (Operation::Say { text: "hi".to_owned() }, Scope::Drive),
        (finalize, Scope::Drive),
    ];
    for (operation, scope) in table {
        let name = operation.name();
        assert_eq!(Scope::of_request(&request(encode_request("r", operation).unwrap())), scope, "{name}");
    }
    // Field 13 of a request: newer than our schema. Field 3: never used. No field: nothing is asked.
    for bytes in [&b"\x22\x02\x6a\x00"[..], b"\x22\x02\x1a\x00", b"\x22\x00"] {
        assert_eq!(Scope::of_request(&request(bytes)), Scope::Drive, "{bytes:02x?}");
    }
}

#[test]
fn a_newer_request_cannot_hide_behind_one_that_needs_less() {
    let only = |scopes: &[Scope]| Policy { default: Scopes::of(scopes), ..Policy::default() };
    let holder = peer("a", Some(true));
    let plain = request(&b"\x22\x02\x12\x00"[..]);
    let newer_beside_ping = request(&b"\x22\x04\x12\x00\x6a\x00"[..]);
    let newer_in_envelope = request(&b"\x22\x02\x12\x00\x4a\x00"[..]);
    let newer_beside_io = request(&b"\x22\x04\x5a\x00\x6a\x00"[..]);
    let decide = |policy: &Policy, request| policy.decide_request(Some(&holder), request);

    let observe = only(&[Scope::Observe]);
    assert_eq!(decide(&observe, &plain), (Scope::Observe, Decision::Allow));
    for hidden in [&newer_beside_ping, &newer_in_envelope] {
        assert_eq!(decide(&observe, hidden), (Scope::Observe, Decision::DenyScope(Scope::Drive)));
        assert_eq!(decide(&only(&[Scope::Observe, Scope::Drive]), hidden), (Scope::Observe, Decision::Allow));
        assert_eq!(
            decide(&only(&[Scope::Drive]), hidden),
            (Scope::Observe, Decision::DenyScope(Scope::Observe))
        );
    }
    assert_eq!(decide(&only(&[Scope::Drive]), &newer_beside_io), (Scope::Io, Decision::DenyScope(Scope::Io)));
    assert_eq!(decide(&only(&[Scope::Io]), &newer_beside_io), (Scope::Io, Decision::DenyScope(Scope::Drive)));
    assert_eq!(decide(&Policy::default(), &newer_beside_io), (Scope::Io, Decision::Allow));
    assert_eq!(observe.decide_request(None, &plain), (Scope::Observe, Decision::DenyUnknown));
}
