//! Frames from looks and keys: hand-made sockets, and a recording of a real run, at several sizes.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    style::{Color, Modifier},
};
use skmem_common::{cause::Cause, output::Holder};

use super::{
    Booked, Books, Causes, MachineSample, Model,
    columns::Column,
    keys::Action,
    line::RowsBy,
    view::{self, Theme},
};
use crate::{
    diag::{TcpState, Timer},
    explain::{Source, Verdict},
    recording::{Item, Playback, Recording},
    snapshot::{
        Account, Row,
        capture::Captured,
        row::{Flow, Holder as Process, Owner},
    },
    testing::rows::{mem, socket},
};

mod frames;
mod pressed;

const SECOND: u64 = 1_000_000_000;
/// 2026-11-23 16:07:50 UTC.
const THEN: u64 = 1_795_450_070 * SECOND;

/// The machine's account of [`rows`], in the form of `skmem snapshot --json`.
fn account() -> Account {
    serde_json::from_str(include_str!("account.json")).unwrap()
}

fn sample(rows: Vec<Row>, at_ns: u64, causes: Causes) -> MachineSample {
    MachineSample {
        at_ns,
        captured: Captured {
            rows,
            account: account(),
            namespaces: HashMap::from([(7, "blue".to_owned())]),
            ways: HashMap::new(),
            fileless: 0,
            limits: HashMap::new(),
            kernel: "6.12.118".to_owned(),
            realtime_ns: THEN + at_ns,
            took_ns: 0,
            notes: Vec::new(),
        },
        causes,
    }
}

fn unknown() -> Causes {
    Causes::Unknown("that needs root, or CAP_BPF and CAP_PERFMON (sudo skmem top)".to_owned())
}

/// A socket of `process`.
fn row(cookie: u64, process: &str, w: i32, sndbuf: i32) -> Row {
    let mut one = socket(TcpState::Established, mem(w, 0, 0, sndbuf));
    one.cookie = cookie;
    one.sport = 40_000 + u16::try_from(cookie).unwrap();
    one.send_q = u32::try_from(w - w / 16).unwrap();
    one.mem.as_mut().unwrap().rcvbuf = 131_072;
    let mut row = Row::new(&one, 7);
    let send_q = row.send_q;
    row.unsent = Some(send_q / 2);
    row.in_flight = Some(send_q - send_q / 2);
    row.flow = Some(Flow {
        mss: 1448,
        cwnd: 10,
        unacked: 10,
        snd_wnd: Some(1 << 20),
        ..Flow::default()
    });
    row.owner = Owner::Process;
    row.holders = vec![Process {
        pid: 300 + u32::try_from(cookie).unwrap(),
        comm: process.into(),
        fd: 3,
    }];
    row.cgroup = Some(format!("/system.slice/{process}.service"));
    row
}

/// Some of each kind.
fn rows() -> Vec<Row> {
    let mut stuck = row(1, "nginx", 15_376, 8192);
    stuck.timer = Some(Timer::Persist);
    stuck.flow.as_mut().unwrap().snd_wnd = Some(0);
    (stuck.unsent, stuck.in_flight) = (Some(14_480), Some(0));
    let far = row(2, "postgres", 2_998_816, 2_932_448);
    let full = row(3, "nginx", 87_040, 87_040);
    let half = row(4, "数据库服务器", 43_000, 87_040);
    let mut reader = row(5, "backup", 0, 87_040);
    let memory = reader.memory.as_mut().unwrap();
    memory.rmem_alloc = 130_000;
    reader.recv_q = 120_000;
    let mut six = row(6, "\u{1b}[2Jname", 896, 16_384);
    six.src = "fd00::1".parse().unwrap();
    six.dst = "fd00::7".parse().unwrap();
    let mut listener = socket(TcpState::Listen, mem(0, 0, 0, 16_384));
    (listener.cookie, listener.dport, listener.send_q) = (7, 0, 128);
    let mut listener = Row::new(&listener, 7);
    listener.owner = Owner::NotPermitted;
    vec![stuck, far, full, half, reader, six, listener]
}

/// What programs would have booked of them.
fn books() -> Causes {
    let booked = |changes, blocked_ns, held_ns, by_cause: &[(Cause, i64)]| Booked {
        changes,
        blocked_ns,
        held_ns,
        holder: Holder::Receiver,
        by_cause: by_cause.to_vec(),
    };
    let stuck = [
        (Cause::NewSkb, 1792),
        (Cause::FirstFill, 2048),
        (Cause::TailAppend, 11_536),
    ];
    let sockets = HashMap::from([
        (1, booked(90, 6_992_000_000, Some(SECOND), &stuck)),
        (2, booked(70_000, 0, None, &[(Cause::FirstFill, 2_998_816)])),
        (
            3,
            booked(1, 3_723 * SECOND, None, &[(Cause::Splice, 87_040)]),
        ),
    ]);
    Causes::Kept(Books {
        sockets: sockets.into_iter().collect(),
        lost: 0,
        skipped: 2,
        no_slot: 0,
        kept: None,
    })
}

/// A model after two looks, a second apart.
fn model(causes: fn() -> Causes) -> Model {
    let mut model = Model::new(RowsBy::Socket, Column::W, Duration::from_secs(1));
    let mut before = rows();
    before[1].memory.as_mut().unwrap().wmem_queued = 1_000_000;
    model.take(sample(before, 5 * SECOND, causes()));
    model.take(sample(rows(), 6 * SECOND, causes()));
    model
}

/// A frame, drawn as on a terminal of this size.
fn frame(model: &mut Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let theme = Theme {
        colour: true,
        keys: true,
    };
    terminal
        .draw(|frame| view::draw(frame.buffer_mut(), model, theme))
        .unwrap();
    view::text(terminal.backend().buffer())
}

fn press(model: &mut Model, code: KeyCode) -> Action {
    model.press(KeyEvent::new(code, KeyModifiers::NONE))
}

/// Each letter is a key.
fn type_in(model: &mut Model, keys: &str) {
    for key in keys.chars() {
        press(model, KeyCode::Char(key));
    }
}
