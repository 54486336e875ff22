//! Who owns the other end of a loopback connection, asked about processes in and out of a session.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use greenroom_os::{Leader, PeerCheck, peer_in_session, session_of};

use crate::stage::{self, cast_as, eventually};

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let address = listener.local_addr().expect("address");
    (listener, address)
}

fn check(ours: &TcpStream, session: u32) -> PeerCheck {
    peer_in_session(ours.local_addr().expect("address"), ours.peer_addr().expect("address"), session)
}

const ADDRESS: &str = "GREENROOM_TEST_ADDRESS";

/// Connects to the address it is given, and stays until the other end closes. Address `::ffff:…` makes the
/// connection one of an IPv6 socket.
#[test]
fn part_caller() {
    if cast_as("peer::part_caller") {
        let address: SocketAddr = std::env::var(ADDRESS).expect("set").parse().expect("an address");
        let mut stream = TcpStream::connect(address).expect("connect");
        stream.write_all(b"x").expect("write");
        let _ = stream.read(&mut [0]);
    }
}

/// Starts a caller in a session of its own; `nested`: as a grandchild.
fn caller(address: &str, nested: bool) -> Leader {
    let program = std::env::current_exe().expect("the path of this test");
    let mut cmd = if nested {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "\"$0\" --exact peer::part_caller; true"]).arg(program);
        shell
    } else {
        let mut caller = Command::new(program);
        caller.args(["--exact", "peer::part_caller"]);
        caller
    };
    cmd.env(stage::PART, "peer::part_caller").env(ADDRESS, address).stdout(std::process::Stdio::null());
    Leader::spawn(cmd).expect("start a caller")
}

#[test]
fn a_process_of_the_session_is_told_from_any_other() {
    let (listener, address) = listener();
    let agent = caller(&address.to_string(), false);
    let (of_agent, _) = listener.accept().expect("accept");
    assert_eq!(check(&of_agent, agent.id()), PeerCheck::Yes);

    let stranger = caller(&address.to_string(), false);
    let (of_stranger, _) = listener.accept().expect("accept");
    let PeerCheck::No(Some(who)) = check(&of_stranger, agent.id()) else { panic!("a stranger passed") };
    assert!(who.starts_with(&format!("process {} (", stranger.id())), "{who}");
    assert_eq!(check(&of_stranger, stranger.id()), PeerCheck::Yes);
    assert!(matches!(check(&of_agent, stranger.id()), PeerCheck::No(Some(_))));
}

#[test]
fn a_grandchild_belongs_to_the_session() {
    let (listener, address) = listener();
    let agent = caller(&address.to_string(), true);
    let (stream, _) = listener.accept().expect("accept");
    assert_eq!(check(&stream, agent.id()), PeerCheck::Yes);
}

#[test]
fn this_very_process_is_in_its_own_session() {
    let (listener, address) = listener();
    let _ours = TcpStream::connect(address).expect("connect");
    let (stream, _) = listener.accept().expect("accept");
    let session = session_of(std::process::id()).expect("look");
    assert_eq!(check(&stream, session), PeerCheck::Yes);
}

#[test]
fn a_connection_of_ipv4_over_a_socket_of_ipv6_is_found() {
    let (listener, address) = listener();
    let agent = caller(&format!("[::ffff:127.0.0.1]:{}", address.port()), false);
    let (stream, _) = listener.accept().expect("accept");
    assert_eq!(check(&stream, agent.id()), PeerCheck::Yes);
}

#[test]
fn a_closed_connection_belongs_to_nobody() {
    let (listener, address) = listener();
    let agent = caller(&address.to_string(), false);
    let (stream, _) = listener.accept().expect("accept");
    let id = agent.id();
    drop(agent);
    eventually("its socket is gone", || matches!(check(&stream, id), PeerCheck::No(_)));
    let PeerCheck::No(Some(who)) = check(&stream, id) else { panic!("it passed") };
    assert!(who.contains("closed"), "{who}");
}
