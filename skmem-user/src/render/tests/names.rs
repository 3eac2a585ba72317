//! A process may call itself anything: wherever its name is printed for people, it stays a name.

use skmem_common::{
    hook::Hook,
    record::{FLAG_TASK, Receive},
};

use super::events::event;
use crate::{
    render::{
        EventLines, LineBuffer, Listed, Names, Style, brief, ends, event_line, event_task, listing,
        overview, text, whose,
    },
    testing::socket::article,
};

/// Clears the screen, ends the line, turns what follows; and bytes that are not text.
const NAME: [u8; 16] = *b"\x1b[2J\r\n\xe2\x80\xae\xc2\x9b\xffx\0\0\0";

#[test]
fn a_name_is_no_command_wherever_it_is_printed() {
    let mut socket = article(896);
    socket.account.ident.comm = NAME;
    let who = socket.account.ident;
    let verdict = socket.verdict();
    let style = Style::PLAIN;
    let mut one = event(Hook::Ack);
    (one.pid, one.tid) = (who.pid, who.tid);
    let mut received = Receive::default();
    (received.pid, received.tid) = (who.pid, who.tid);
    received.header.hook = Hook::Read as u8;
    received.header.flags = FLAG_TASK;
    let ends_of = ends(&who);
    let names = Names {
        ends: Some(&ends_of),
        task: &event_task(&NAME),
    };
    let mut line = LineBuffer::default();
    EventLines::plain(&style).write_receive(&mut line, &received, names);
    for (what, printed) in [
        ("text", text(&verdict, &style)),
        ("brief", brief(&verdict, &style, 23, "")),
        (
            "overview",
            overview(&[verdict.clone(), verdict.clone()], &style),
        ),
        ("listing", listing(&[Listed::of(&verdict)], &style)),
        ("ends", ends_of.clone()),
        ("whose", whose(&who)),
        ("event", event_line(&one, Some(&who), &style)),
        (
            "receive",
            String::from_utf8(line.as_bytes().to_vec()).unwrap(),
        ),
    ] {
        let command = printed
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(command, None, "{what}: {printed:?}");
        if what != "ends" {
            assert!(printed.contains("\\u{1b}[2J\\r\\n"), "{what}: {printed:?}");
        }
    }
}
