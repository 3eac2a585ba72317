//! Every decoder of bytes from outside, as a function of bytes. `tests/hostile.rs` drives them at
//! each run of the tests, `cargo xtask fuzz` for as long as one likes; nothing else uses this.

use std::{io::Cursor, str};

use crate::{
    decode,
    diag::inet_diag,
    kernel::{btf::KernelBtf, descriptors},
    model::{record::Record, replay::Replay},
    quantity::{file_size, parse_time, ring_size},
    recording::{self, Recording, block},
    render::{self, Style},
    selection::Net,
    trace::trigger::Trigger,
};

/// Something that reads bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its seeds' directory.
    pub name: &'static str,
    /// Must not panic, and must end.
    pub run: fn(&[u8]),
    /// Most memory that it may take for each byte of input, in bytes.
    pub memory_a_byte: usize,
    /// Most memory that it may take whatever the input, in bytes.
    pub memory: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "event",
        run: event,
        memory_a_byte: 0,
        memory: 64 << 10,
    },
    // Blocks may be compressed, and JSON takes several times its length.
    Target {
        name: "recording",
        run: recording,
        memory_a_byte: 255 * 8,
        memory: 8 << 20,
    },
    Target {
        name: "recording-mended",
        run: recording_mended,
        memory_a_byte: 255 * 8,
        memory: 8 << 20,
    },
    Target {
        name: "ss",
        run: ss,
        memory_a_byte: 64,
        memory: 64 << 10,
    },
    Target {
        name: "btf",
        run: btf,
        memory_a_byte: 256,
        memory: 64 << 10,
    },
    Target {
        name: "filter",
        run: filter,
        memory_a_byte: 64,
        memory: 64 << 10,
    },
    Target {
        name: "netlink",
        run: netlink,
        memory_a_byte: 64,
        memory: 64 << 10,
    },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|t| t.name == name)
}

/// A recording without compression, which damage has more to damage in.
#[must_use]
pub fn flat(bytes: &[u8]) -> Vec<u8> {
    block::mended(bytes, true)
}

fn event(bytes: &[u8]) {
    let Ok(record) = Record::decode(bytes) else {
        return;
    };
    let _ = (record.place(), record.time_ns());
    let mut replay = Replay::bounded(4);
    replay.apply(&record);
    replay.apply(&record);
}

fn recording(bytes: &[u8]) {
    let Ok((outcome, recording)) = recording::outcome(|| Recording::new(bytes)) else {
        return;
    };
    let source = outcome.source();
    let verdicts = outcome
        .end
        .verdicts(&recording.meta().kernel, true, false, source);
    for verdict in verdicts.iter().take(4) {
        let text = render::text(verdict, &Style::PLAIN);
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "a name reaches the terminal: {text:?}");
        let _ = render::json(verdict);
    }
}

fn recording_mended(bytes: &[u8]) {
    recording(&block::mended(bytes, false));
}

fn ss(bytes: &[u8]) {
    let _ = inet_diag::dump_file(bytes);
    let Ok(text) = decode::text(bytes) else {
        return;
    };
    let decoded = decode::parse(&text);
    for reading in &decoded.sockets {
        let _ = decode::findings(reading, &decode::Limits::DEFAULT);
    }
}

fn btf(bytes: &[u8]) {
    if let Ok(btf) = KernelBtf::from_bytes(bytes) {
        let _ = (btf.offsets(), btf.parameters("tcp_ack"));
    }
    let _ = descriptors::is_known(&mut Cursor::new(bytes));
}

fn filter(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(net) = text.parse::<Net>() {
        let prefix = net.prefix();
        assert!(
            prefix.holds(prefix.family as u16, &prefix.addr),
            "{net} does not hold itself"
        );
        assert_eq!(net.to_string().parse(), Ok(net));
    }
    let _ = (ring_size(text), file_size(text));
    let _ = (text.parse::<Trigger>(), parse_time(text));
}

fn netlink(bytes: &[u8]) {
    assert!(inet_diag::sockets_in(bytes) <= 3 * bytes.len() / 16);
}
