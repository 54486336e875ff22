//! Tokens of other makers: `attach` and `doctor` take what the server takes.

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};

use crate::host::Agent;
use crate::server::{KEY, SECRET};
use crate::stage::{Stage, wait};
use crate::venue::Venue;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn sign(header: &str, claims: &str, encode: impl Fn(&str) -> String) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Claims with these in the place of the usual ones, as text so that they can be what no serializer writes.
fn claims(venue: &Venue<'_>, more: &str, grants: &str) -> String {
    format!(
        r#"{{"iss":"{KEY}","sub":"ada","video":{{"roomJoin":true,"room":"{}","canManageAgentSession":true{grants}}}{more}}}"#,
        venue.name
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_of_another_maker_joins_as_the_server_takes_it() {
    let venue = Venue::new();
    let _agent = Agent::join(&venue, "agent").await;
    let exp = r#","exp":1999999999"#;
    for (more, grants, header) in [
        (r#","exp":1999999999.75"#, "", HEADER),
        (r#","exp":1.9e9"#, "", HEADER),
        (r#","exp":null"#, "", HEADER),
        (r#","exp":1999999999,"nbf":1.7e9"#, "", HEADER),
        (r#","exp":1999999999,"nbf":1700000000.5,"iat":1700000000.5"#, "", HEADER),
        (r#","exp":1999999999,"nbf":null"#, "", HEADER),
        (r#","exp":1999999999,"name":null,"metadata":null,"attributes":null,"kind":null"#, "", HEADER),
        (exp, r#","canPublish":null,"canPublishSources":null,"hidden":null,"roomCreate":null"#, HEADER),
        (exp, "", r#"{"alg":"HS256","typ":"JWT","kid":"k","x5c":[]}"#),
        (exp, "", r#"{"typ":"JWT","alg":"HS256","extra":["a",1,null]}"#),
    ] {
        let stage = Stage::new();
        let token = sign(header, &claims(&venue, more, grants), |text| URL_SAFE_NO_PAD.encode(text));
        let mut command = stage.command(&["attach", "--url", &venue.server.url()]);
        command.env("LIVEKIT_TOKEN", &token);
        let outcome = wait(command);
        assert_eq!(outcome.code, Some(0), "{more} {grants} {header}: {outcome:#?}");
        stage.run(&["end"]).ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_that_only_the_server_can_judge_is_left_to_it() {
    let venue = Venue::new();
    let _agent = Agent::join(&venue, "agent").await;
    let exp = r#","exp":1999999999"#;
    for (more, grants) in [
        (r#","exp":"1999999999""#, ""),
        (r#","exp":{}"#, ""),
        (r#","exp":1999999999,"nbf":"1700000000""#, ""),
        (r#","exp":1999999999,"name":"a","name":"b""#, ""),
        (r#","exp":1999999999,"exp":1999999998"#, ""),
        (exp, r#","hidden":"yes""#),
        (exp, r#","canPublish":1"#),
    ] {
        let stage = Stage::new();
        let token = sign(HEADER, &claims(&venue, more, grants), |text| URL_SAFE_NO_PAD.encode(text));
        let mut command = stage.command(&["attach", "--url", &venue.server.url()]);
        command.env("LIVEKIT_TOKEN", &token);
        let outcome = wait(command);
        let has_joined = outcome.code == Some(0);
        assert!(
            has_joined || outcome.stderr.contains("refused the token (401"),
            "{more} {grants}: {outcome:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_with_blanks_around_it_joins() {
    let venue = Venue::new();
    let _agent = Agent::join(&venue, "agent").await;
    let token = venue.manager_token("ada");
    for token in [format!("{token}\n"), format!(" {token} ")] {
        let stage = Stage::new();
        let mut command = stage.command(&["attach", "--url", &venue.server.url()]);
        command.env("LIVEKIT_TOKEN", &token);
        wait(command).ok();
        stage.run(&["end"]).ok();
    }
    // One that is empty is not there, as for the other variables.
    let stage = Stage::new();
    let mut command = stage.command(&["attach", "--url", &venue.server.url(), "--room", &venue.name]);
    command.env("LIVEKIT_TOKEN", "").env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    wait(command).ok();
}

#[test]
fn text_that_is_no_token_is_refused_before_anything_is_asked() {
    let stage = Stage::new();
    let padded = sign(HEADER, "[]", |text| URL_SAFE.encode(text));
    for token in ["nonsense", "a.b.c", "a.b", "..", padded.as_str()] {
        let mut command = stage.command(&["attach", "--url", "ws://127.0.0.1:1"]);
        command.env("LIVEKIT_TOKEN", token);
        wait(command).code(2).told("not an access token");
    }
}
