//! What a recording says of itself: its first block.

use skmem_common::{
    layout::{ABSENT, FIELDS},
    record::VERSION,
};

use super::session::{Session, limit};
use crate::{
    diag,
    kernel::{plan::Kind, system, tracer},
    recording::{Clock, HookFound, Meta},
};

/// Of a session that starts now.
#[must_use]
pub fn meta(session: &Session, tracing: &tracer::Options, filters: Vec<(String, String)>) -> Meta {
    let tracer = session.tracer();
    let machine = rustix::system::uname();
    let text = |s: &std::ffi::CStr| s.to_string_lossy().into_owned();
    let hooks = tracer.attached().iter().map(|a| HookFound {
        hook: a.hook.name().to_owned(),
        function: a.function.to_owned(),
        kind: match a.kind {
            Kind::Fentry => "fentry",
            Kind::Fexit => "fexit",
            Kind::Kprobe => "kprobe",
            Kind::Tracepoint => "tracepoint",
        }
        .to_owned(),
    });
    let mut offsets = tracer.offsets();
    let layout = FIELDS.iter().map(|(name, ty, path, _)| {
        let offset = offsets.slot(name).map_or(ABSENT, |o| *o);
        let offset = if offset == ABSENT {
            -1
        } else {
            i64::from(offset)
        };
        (format!("{ty}.{path}"), offset)
    });
    Meta {
        skmem: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        filters,
        host: text(machine.nodename()),
        kernel: text(machine.release()),
        machine: text(machine.machine()),
        clock: Clock {
            monotonic_ns: system::monotonic_ns(),
            wall_ns: system::wall_ns(),
        },
        hooks: hooks.collect(),
        notes: tracer.notes().to_vec(),
        layout: layout.collect(),
        record_layout: VERSION,
        ring_bytes: tracing.ring_bytes,
        max_sockets: tracing.max_sockets,
        wmem_max: limit(diag::wmem_max()),
        notsent_lowat: limit(diag::notsent_lowat()),
        run: run(),
        part: 1,
        flight_ns: 0,
        trigger: None,
        selected: Vec::new(),
    }
}

/// A name for this run that no other has; empty where the kernel gives none.
fn run() -> String {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    uuid.map(|uuid| uuid.trim().to_owned()).unwrap_or_default()
}
