//! Which participant of a room is the agent.

use greenroom_protocol::Code;
use greenroom_protocol::room::{AgentSearch, Candidate, ambiguous_agent, find_agent, lacks_grant, no_agent};

fn participant(identity: &str) -> Candidate {
    Candidate { identity: identity.to_owned(), is_active: true, ..Candidate::default() }
}

fn agent(identity: &str) -> Candidate {
    Candidate { is_agent_kind: true, ..participant(identity) }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn only_agent_is_found() {
    assert_eq!(find_agent(None, &[participant("ann"), agent("bot")]), AgentSearch::Found("bot".to_owned()));
}

#[test]
fn avatar_worker_is_no_agent() {
    let avatar = Candidate { publishes_on_behalf: true, ..agent("avatar") };
    let present = [avatar.clone(), agent("bot")];
    assert_eq!(find_agent(None, &present), AgentSearch::Found("bot".to_owned()));
    assert_eq!(find_agent(None, &[avatar]), AgentSearch::Waiting(names(&["avatar"])));
}

#[test]
fn named_participant_of_any_kind_is_found() {
    let present = [participant("ann"), agent("bot"), agent("other")];
    assert_eq!(find_agent(Some("ann"), &present), AgentSearch::Found("ann".to_owned()));
    assert_eq!(find_agent(Some("zoe"), &present), AgentSearch::Waiting(names(&["ann", "bot", "other"])));
}

#[test]
fn agent_that_is_about_to_connect_is_waited_for() {
    let joining = Candidate { is_active: false, ..agent("bot") };
    assert_eq!(find_agent(None, std::slice::from_ref(&joining)), AgentSearch::Waiting(names(&["bot"])));
    assert_eq!(find_agent(Some("bot"), &[joining]), AgentSearch::Waiting(names(&["bot"])));
}

#[test]
fn several_agents_are_ambiguous() {
    assert_eq!(
        find_agent(None, &[agent("two"), participant("ann"), agent("one")]),
        AgentSearch::Ambiguous(names(&["one", "two"]))
    );
}

#[test]
fn errors_name_the_room_and_what_to_do() {
    let error = ambiguous_agent(&names(&["one", "two"]), "lobby");
    assert_eq!(error.code, Code::InvalidArgument);
    assert_eq!(error.message, r#"the room "lobby" has 2 agents: "one", "two"; name one of them"#);
    let error = no_agent(None, &names(&["ann"]), "lobby", "1s");
    assert_eq!(error.code, Code::Timeout);
    assert!(
        error.message.starts_with(r#"no agent came into the room "lobby" within 1s (in it: "ann"); "#),
        "{error}"
    );
    let error = no_agent(Some("bot"), &[], "lobby", "1s");
    let expected = r#""bot" did not come into the room "lobby" within 1s (no other participant is in it); "#;
    assert!(error.message.starts_with(expected), "{error}");
    let error = lacks_grant("ann", "lobby");
    assert_eq!(error.code, Code::PermissionDenied);
    assert!(error.message.contains("canManageAgentSession"), "{error}");
}
