//! What tables and words look like, on rows made by hand.

use std::collections::HashMap;

use super::*;
use crate::{
    decode::{Limits, parse},
    diag::TcpState,
    render::Style,
    snapshot::{
        Row,
        account::{Outcome, Visited, tests::account as made},
        row::{Holder, Owner},
    },
    testing::rows::{mem, socket},
};

fn show(limits: &HashMap<u64, Limits>) -> Show<'_> {
    Show {
        most: 0,
        exact: false,
        words: None,
        rest: "--limit 0 shows all",
        explain: false,
        windows: false,
        changes: false,
        namespaces: None,
        limits,
        tcp_mem: None,
    }
}

fn row() -> Row {
    let mut one = socket(TcpState::Established, mem(15_312, 0, 1_072, 8_192));
    one.send_q = 14_480;
    let mut row = Row::new(&one, 1);
    row.owner = Owner::Process;
    row.holders = vec![Holder {
        pid: 7,
        comm: "\x1b[2Jbad".into(),
        fd: 3,
    }];
    row
}

#[test]
fn a_socket_is_two_lines_and_its_name_cannot_reach_the_terminal() {
    let limits = HashMap::new();
    let text = sockets(&[row()], &show(&limits), &Style::PLAIN);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.contains("10.0.0.1:1 → 10.0.0.2:80 · \\u{1b}[2Jbad (pid 7, fd 3)"),
        "{text}"
    );
    assert!(
        text.contains("186%") && text.contains("over-limit"),
        "{text}"
    );
    assert!(!text.contains('\x1b'));
}

#[test]
fn containers_ids_are_cut_and_the_rest_of_the_path_is_kept() {
    let mut one = row();
    let id = "0123456789abcdef".repeat(4);
    one.cgroup = Some(format!("/system.slice/docker-{id}.scope"));
    let limits = HashMap::new();
    let text = sockets(&[one], &show(&limits), &Style::PLAIN);
    assert!(
        text.contains("/system.slice/docker-0123456789ab…"),
        "{text}"
    );
}

#[test]
fn what_is_left_out_is_counted() {
    let limits = HashMap::new();
    let some = Show {
        most: 1,
        ..show(&limits)
    };
    let text = sockets(&[row(), row()], &some, &Style::PLAIN);
    assert!(text.contains("… and 1 more, charged 16K"), "{text}");
}

#[test]
fn the_account_says_whether_it_closes_in_words() {
    let all = Visited {
        visited: 1,
        found: 1,
        denied: 0,
    };
    let closes = account(&made(4096, 1, 0, all), &Style::PLAIN);
    assert!(
        closes.contains("0 bytes: the account closes exactly"),
        "{closes}"
    );
    let open = made(4096, 9, 0, all);
    assert_eq!(open.outcome, Outcome::Open);
    assert!(account(&open, &Style::PLAIN).contains("THE ACCOUNT DOES NOT CLOSE"));
    let pressed = account(&made(25 * 4096, 25, 0, all), &Style::PLAIN);
    assert!(pressed.contains("UNDER PRESSURE"), "{pressed}");
    let past = account(&made(31 * 4096, 31, 0, all), &Style::PLAIN);
    assert!(past.contains("PAST THE HARD LIMIT"), "{past}");
    for line in closes.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn decoded_sockets_have_each_letter_in_words() {
    let text = "ESTAB 0 14480 10.0.0.1:1 10.0.0.2:2\n\tskmem:(r0,rb131072,t0,tb8192,f1072,w15312,o0,bl0,d2)\n";
    let said = decoded(&Decoding::of(&parse(text)), &Style::PLAIN);
    for part in [
        "ESTABLISHED 10.0.0.1:1 → 10.0.0.2:2",
        "wmem_queued: memory of everything",
        "14,480 of data and 832 of overhead",
        "(186 % used)",
        "A count, not bytes",
        "! w is 7,120 bytes over tb",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let none = decoded(
        &Decoding::of(&parse("TIME-WAIT 0 0 a:1 b:2\n")),
        &Style::PLAIN,
    );
    assert!(none.contains("No memory was printed"), "{none}");
}

#[test]
fn a_probed_queue_says_what_is_known_and_what_cannot_be() {
    let limits = HashMap::new();
    let text = |moved| {
        let (row, found) = crate::snapshot::probe::tests::probed(moved);
        probe(&found, &[row], &show(&limits), &Style::PLAIN)
    };
    let still = text(false);
    for part in [
        "the worst send queue, traced for 2.000 s",
        "w 15,376 bytes, 7,184 bytes over tb 8,192 (set by the application)",
        "pre-existing +15,376",
        "is not known",
        "1 packet of 896 bytes when empty",
    ] {
        let flat = still.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(part), "{part}: {still}");
    }
    let moved = text(true);
    for part in [
        "pre-existing",
        "ack",
        "= w",
        "unattributed 0",
        "still queued",
    ] {
        assert!(moved.contains(part), "{part}: {moved}");
    }
    for line in still.lines().chain(moved.lines()) {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let failed = probe(
        &crate::snapshot::probe::Probe::failed("no rights".into()),
        &[],
        &show(&limits),
        &Style::PLAIN,
    );
    assert!(failed.contains("Not known: no rights"), "{failed}");
}
