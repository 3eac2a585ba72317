//! What a recording is of: its first block, as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::end::Totals;

/// Everything but what was traced.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Version of the skmem that recorded.
    pub skmem: String,
    /// What was asked of it: the words of its command line.
    pub command: Vec<String>,
    /// The filters among them, by option; empty: every TCP socket.
    pub filters: Vec<(String, String)>,
    /// The machine's name.
    pub host: String,
    /// `uname -r`.
    pub kernel: String,
    /// `uname -m`.
    pub machine: String,
    /// The same instant on both clocks.
    pub clock: Clock,
    /// What was hooked.
    pub hooks: Vec<HookFound>,
    /// What this kernel lacks, and what that costs.
    pub notes: Vec<String>,
    /// Where the kernel keeps its fields: name and offset in bytes, or -1.
    pub layout: Vec<(String, i64)>,
    /// Version of the records between kernel and skmem.
    pub record_layout: u8,
    /// Size of the ring buffer between them, in bytes.
    pub ring_bytes: u32,
    /// Sockets that could be traced at the same time.
    pub max_sockets: u32,
    /// `net.core.wmem_max` at the start, in bytes.
    pub wmem_max: Option<u32>,
    /// `net.ipv4.tcp_notsent_lowat` at the start, in bytes.
    pub notsent_lowat: Option<u32>,
    /// The same in all files of one run of `skmem record`, and in no other; empty
    /// in recordings older than this field. [`Meta::run_id`] names those.
    pub run: String,
    /// Which of the run's files this is, from 1: with `--rotate`, and of a black
    /// box each time it was written.
    pub part: u32,
    /// The black box's length in ns: `--flight`; 0: everything was recorded.
    pub flight_ns: u64,
    /// What made the black box be written.
    pub trigger: Option<String>,
    /// Where this is a part of a recording, what was chosen of it; of a part of a part, in that
    /// order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub selected: Vec<Selected>,
}

/// What was chosen of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Selected {
    /// Which sockets, by option; empty: all.
    pub filters: Vec<(String, String)>,
    /// Sockets that were kept.
    pub sockets: u64,
    /// Sockets that the recording had.
    pub of: u64,
    /// Where it was made to begin, in ns of `CLOCK_MONOTONIC`; its accounts of then are replayed
    /// from what came before.
    pub from_ns: Option<u64>,
    /// Where a part ends that was cut from a recording, in ns of `CLOCK_MONOTONIC`.
    pub to_ns: Option<u64>,
    /// Names of the threads that use the sockets, also where only records of other sockets name
    /// them.
    pub threads: BTreeMap<u32, String>,
}

/// The same instant on both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Clock {
    /// ns of `CLOCK_MONOTONIC`, the clock of all records.
    pub monotonic_ns: u64,
    /// ns of `CLOCK_REALTIME`, since 1970-01-01 UTC.
    pub wall_ns: u64,
}

/// A hook in place.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct HookFound {
    /// The hook's name.
    pub hook: String,
    /// The kernel function that serves it here.
    pub function: String,
    /// `fentry`, `fexit`, `kprobe` or `tracepoint`.
    pub kind: String,
}

/// Text of a file, made safe for a terminal: a file may hold anything.
pub(super) fn tame(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            ' '..='~' => c,
            _ if c.is_alphanumeric() => c,
            _ => '?',
        })
        .collect()
}

impl Meta {
    /// What names the run: `run`, or host and start where that is empty: those
    /// are the same in all of its files, too.
    #[must_use]
    pub fn run_id(&self) -> String {
        if !self.run.is_empty() {
            return self.run.clone();
        }
        format!(
            "{}-{}-{}",
            self.host, self.clock.wall_ns, self.clock.monotonic_ns
        )
    }

    /// With all of its texts made safe for a terminal.
    pub(super) fn sanitized(mut self) -> Self {
        let words = self.command.iter_mut().chain(&mut self.notes);
        let pairs = self.filters.iter_mut().flat_map(|(a, b)| [a, b]);
        let hooks = self.hooks.iter_mut();
        let hooks = hooks.flat_map(|h| [&mut h.hook, &mut h.function, &mut h.kind]);
        let fields = self.layout.iter_mut().map(|(name, _)| name);
        let own = [
            &mut self.skmem,
            &mut self.host,
            &mut self.kernel,
            &mut self.machine,
            &mut self.run,
        ];
        words
            .chain(pairs)
            .chain(hooks)
            .chain(fields)
            .chain(own)
            .chain(&mut self.trigger)
            .chain(self.selected.iter_mut().flat_map(Selected::texts))
            .for_each(|text| *text = tame(text));
        self
    }
}

impl Selected {
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let filters = self
            .filters
            .iter_mut()
            .flat_map(|(name, value)| [name, value]);
        filters.chain(self.threads.values_mut())
    }
}

impl Totals {
    /// With all of its texts made safe for a terminal.
    pub(super) fn sanitized(mut self) -> Self {
        let places = &mut self.places;
        let names = places
            .cgroups
            .values_mut()
            .chain(places.namespaces.values_mut());
        let hooks = self.hooks.iter_mut().map(|h| &mut h.hook);
        names
            .chain(hooks)
            .chain([&mut self.reason])
            .for_each(|text| *text = tame(text));
        self
    }
}

impl Clock {
    /// The wall clock at an instant of the records' clock, in ns since
    /// 1970-01-01 UTC.
    #[must_use]
    pub fn wall_ns(&self, monotonic_ns: u64) -> u64 {
        self.wall_ns
            .wrapping_add(monotonic_ns)
            .wrapping_sub(self.monotonic_ns)
    }
}
