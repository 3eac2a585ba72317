//! `skmem top` as a program on a terminal: what it shows beside `SO_MEMINFO`, keys, and what it
//! leaves behind, however it ends. Without eBPF; with it, in tests/vm.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    os::{fd::AsFd as _, unix::process::ExitStatusExt as _},
    process::Command,
};

use rustix::process::{Signal, WaitOptions, waitpid};
use skmem::{diag::MemInfo, render::snapshot::short};

#[path = "support/driven.rs"]
mod driven;
#[path = "support/still.rs"]
mod still;
#[path = "support/terminal.rs"]
mod terminal;

use driven::Driven;

/// A sender whose peer does not read; nothing moves any more.
fn stuck() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    socket2::SockRef::from(&client)
        .set_send_buffer_size(65_536)
        .unwrap();
    client.set_nonblocking(true).unwrap();
    let (server, _) = listener.accept().unwrap();
    while (&client).write(&[7; 1000]).is_ok() {}
    still::stand_still(&client, &server);
    (client, server)
}

fn top(sport: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skmem"));
    command.args(["top", "--no-causes", "--interval", "200ms", "--sport"]);
    command.arg(sport.to_string());
    command
}

fn port(socket: &TcpStream) -> u16 {
    socket.local_addr().unwrap().port()
}

/// The line of the socket.
fn line<'a>(screen: &'a str, client: &TcpStream) -> &'a str {
    let ends = format!(
        "{}>{}",
        client.local_addr().unwrap(),
        client.peer_addr().unwrap()
    );
    let found = screen.lines().find(|line| line.contains(&ends));
    found.unwrap_or_else(|| panic!("no {ends} in:\n{screen}"))
}

#[test]
fn a_frame_says_what_so_meminfo_says() {
    let (client, server) = stuck();
    let output = top(port(&client))
        .args(["--once", "-n", "5"])
        .env("COLUMNS", "120")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = line(&text, &client);
    let truth = MemInfo::read(client.as_fd()).unwrap();
    for word in [
        short(truth.wmem_queued.into()),
        short(truth.sndbuf.into()),
        format!(
            "{}/{}",
            short(truth.rmem_alloc.into()),
            short(truth.rcvbuf.into())
        ),
        "peer window".to_owned(),
        std::process::id().to_string(),
    ] {
        assert!(line.contains(&word), "no {word:?} in {line:?}");
    }
    // No terminal: the same without being asked.
    let piped = top(port(&server)).output().unwrap();
    let text = String::from_utf8(piped.stdout).unwrap();
    assert!(
        text.contains("slow reader") && !text.contains('\x1b'),
        "{text}"
    );
    assert!(text.contains("no causes: --no-causes"), "{text}");
}

#[test]
fn keys_open_a_socket_and_q_ends_it() {
    let (client, _server) = stuck();
    let mut top = Driven::start(&mut top(port(&client)), 100, 30);
    let screen = top.until_reads("peer window");
    let truth = MemInfo::read(client.as_fd()).unwrap();
    let w = short(truth.wmem_queued.into());
    assert!(line(&screen, &client).contains(&w), "{screen}");
    assert!(top.emulated.screen().alternate_screen());
    top.press("?");
    top.until_reads("choose columns");
    top.press("?\r");
    let opened = top.until_reads("the peer's window has no room");
    assert!(
        opened.contains("Which kernel code queued the bytes is not known"),
        "{opened}"
    );
    // Escape alone is known as such when nothing follows it.
    top.press("\x1b");
    top.until_reads("local>remote");
    top.press("/nobody\r");
    top.until_reads("Esc clears the filter");
    top.press("q");
    assert_eq!(top.ended().code(), Some(0));
    top.assert_given_back();
}

#[test]
fn a_resized_terminal_is_filled() {
    let (client, _server) = stuck();
    let mut top = Driven::start(&mut top(port(&client)), 200, 40);
    top.until_reads("peer window");
    for (columns, rows) in [(60, 14), (250, 60), (30, 5), (80, 24)] {
        top.resize(columns, rows);
        let word = if columns < 40 { "too small" } else { "q quit" };
        top.until("a frame of that size", |screen| {
            let contents = screen.contents();
            let last = contents.lines().last().unwrap_or_default();
            if columns < 40 {
                contents.contains(word)
            } else {
                contents.lines().count() == usize::from(rows) && last.contains(word)
            }
        });
    }
    top.press("\x03");
    assert_eq!(top.ended().code(), Some(0));
    top.assert_given_back();
}

#[test]
fn every_signal_gives_the_terminal_back() {
    let (client, _server) = stuck();
    for (signal, status) in [
        (Signal::TERM, 143),
        (Signal::HUP, 129),
        (Signal::QUIT, 131),
        (Signal::USR1, 138),
        (Signal::INT, 0),
    ] {
        let mut top = Driven::start(&mut top(port(&client)), 80, 24);
        top.until_reads("peer window");
        top.signal(signal);
        let ended = top.ended();
        assert_eq!(
            ended.code(),
            Some(status),
            "{signal:?}: {:?}",
            ended.signal()
        );
        top.assert_given_back();
    }
}

#[test]
fn stopped_it_gives_the_terminal_back_until_it_goes_on() {
    let (client, _server) = stuck();
    let mut top = Driven::start(&mut top(port(&client)), 80, 24);
    for _ in 0..2 {
        top.until("a frame", |screen| {
            screen.alternate_screen() && screen.contents().contains("peer window")
        });
        // Ctrl-Z
        top.press("\x1a");
        let (_, status) = waitpid(Some(top.pid()), WaitOptions::UNTRACED)
            .unwrap()
            .unwrap();
        assert!(status.stopped(), "{status:?}");
        top.assert_given_back();
        top.signal(Signal::CONT);
    }
    top.until_reads("q quit");
    top.press("q");
    assert_eq!(top.ended().code(), Some(0));
    top.assert_given_back();
}
