//! The book and the machine as metrics: names and units by the rules of OpenMetrics, help from the
//! glossary. Pure.

use super::{
    book::{Book, EXCESS_BOUNDS, Excess, Now},
    counts::{Sums, by_cause, by_holder, by_limit_cause, by_receive_cause},
};
use skmem_common::cause::{Cause, LimitCause};

use crate::{
    glossary,
    snapshot::account::{Account, Outcome},
};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up; its samples end in `_total`.
    Counter,
    /// A value of now.
    Gauge,
    /// A constant 1 whose labels say something; its sample ends in `_info`.
    Info,
    /// Counts by bounds.
    Histogram,
}

/// A metric's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Name without the unit.
    pub name: &'static str,
    /// Unit, which ends the name; empty: a count, or no quantity.
    pub unit: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Help.
    pub help: &'static str,
    /// The glossary's entry whose meaning the help ends with; empty: none.
    pub field: &'static str,
}

impl Metric {
    const fn new(kind: Kind, name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self {
            name,
            unit,
            kind,
            help,
            field: "",
        }
    }

    const fn field(self, field: &'static str) -> Self {
        Self { field, ..self }
    }

    /// The whole help.
    #[must_use]
    pub fn full_help(&self) -> String {
        match self.field {
            "" => self.help.to_owned(),
            field => format!("{}; {field} is {}", self.help, glossary::meaning(field)),
        }
    }
}

/// A metric with its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// What it is.
    pub metric: Metric,
    /// One for each set of labels.
    pub samples: Vec<Sample>,
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name and value of each label.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A count, or bytes.
    Count(u64),
    /// Bytes that may be negative.
    Signed(i64),
    /// Seconds.
    Seconds(f64),
    /// A histogram.
    Excess(Excess),
}

/// What is known of the machine and of skmem itself.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// `uname -r`
    pub kernel: String,
    /// skmem's version.
    pub version: String,
    /// The machine's account; None: it could not be read.
    pub account: Option<Account>,
    /// What the programs count; None: nothing is traced.
    pub tracing: Option<Tracing>,
    /// How long the look took, ns.
    pub took_ns: u64,
    /// When it was, ns since 1970.
    pub realtime_ns: u64,
    /// Most series.
    pub most_series: u64,
    /// Looks that failed.
    pub failed: u64,
    /// The black box; None: there is none.
    pub flight: Option<Flight>,
    /// The tripwire; None: there is none.
    pub tripwire: Option<Tripwire>,
    /// skmem's own price.
    pub process: Process,
}

/// What the programs count.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tracing {
    /// Records that found the ring full.
    pub lost: u64,
    /// Program runs that the kernel skipped.
    pub skipped: u64,
    /// Sockets that found no room in the table.
    pub no_slot: u64,
    /// Accounts that are kept now.
    pub accounts: u64,
    /// Room in the table.
    pub slots: u64,
}

/// What the black box has come to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flight {
    /// Files written.
    pub written: u64,
    /// Files that could not be written.
    pub failed: u64,
    /// Records in memory, bytes.
    pub bytes: u64,
    /// Records are kept; false: the thread that does has failed.
    pub keeps: bool,
}

/// How often sockets met the tripwire, and whether accounts are kept for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tripwire {
    /// Accounts are kept now.
    pub armed: bool,
    /// Times that one met it while no accounts were kept.
    pub met: u64,
}

/// What skmem itself uses, as other programs name it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Process {
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Resident memory, bytes.
    pub resident: u64,
    /// Open descriptors.
    pub fds: u64,
    /// When it was started, seconds since 1970.
    pub started: f64,
}

/// Series that are not of a group, at most; a test counts them.
pub const FIXED: usize = 62;

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric::new(Kind::Counter, name, unit, help)
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric::new(Kind::Gauge, name, unit, help)
}

/// Metrics of groups, in the order in which they are printed. What [`each`] emits counts on it.
const GROUPED: [Metric; 23] = [
    counter(
        "skmem_wmem_queued_added",
        "bytes",
        "Bytes that kernel code added to wmem_queued, by cause (skmem causes NAME explains one)",
    )
    .field("wmem_queued"),
    counter(
        "skmem_wmem_queued_freed",
        "bytes",
        "Bytes that kernel code freed from wmem_queued, by cause",
    )
    .field("wmem_queued"),
    counter(
        "skmem_rmem_alloc_added",
        "bytes",
        "Bytes that kernel code added to rmem_alloc, by cause (with --rx)",
    )
    .field("rmem_alloc"),
    counter(
        "skmem_rmem_alloc_freed",
        "bytes",
        "Bytes that kernel code freed from rmem_alloc, by cause (with --rx)",
    )
    .field("rmem_alloc"),
    counter(
        "skmem_sender_blocked",
        "seconds",
        "Time that threads slept in a send call, sleeps that last included, by reason: limit is sndbuf, memory is a refused \
         charge, lowat is TCP_NOTSENT_LOWAT or net.ipv4.tcp_notsent_lowat",
    ),
    counter(
        "skmem_sender_held_up",
        "",
        "Times that a sender slept, got EAGAIN or a short write, by reason: limit is sndbuf, memory is a refused charge, \
         lowat is TCP_NOTSENT_LOWAT or net.ipv4.tcp_notsent_lowat",
    ),
    counter(
        "skmem_sender_refused",
        "",
        "Times that a non-blocking sender got EAGAIN",
    ),
    counter(
        "skmem_sender_short_writes",
        "",
        "Times that a non-blocking sender got a short write: a part of its data was taken",
    ),
    counter(
        "skmem_sender_held_up_by",
        "",
        "Times that a sender slept or was turned away, by what kept its queue from draining at that moment: receiver is \
         the peer's window, timeouts is a peer that does not answer, cwnd is the congestion window",
    ),
    counter(
        "skmem_sndbuf_moves",
        "",
        "Changes of sk_sndbuf, by cause; not-kept is where more came between two looks than an account keeps",
    ),
    counter(
        "skmem_memory_refused",
        "",
        "Calls of __sk_mem_schedule for sending that were refused: tcp_mem or the memory cgroup is at its limit",
    ),
    counter("skmem_sockets_seen", "", "Sockets whose account was opened"),
    counter(
        "skmem_busy",
        "seconds",
        "Time with data to send, as far as looks saw it: tcpi_busy_time of TCP_INFO",
    ),
    counter(
        "skmem_rwnd_limited",
        "seconds",
        "Of the busy time, stopped by the peer's window: tcpi_rwnd_limited of TCP_INFO",
    ),
    counter(
        "skmem_sndbuf_limited",
        "seconds",
        "Of the busy time, short of send buffer: tcpi_sndbuf_limited of TCP_INFO",
    ),
    gauge("skmem_sockets", "", "Sockets now, by TCP state"),
    gauge("skmem_charged", "bytes", "Sum over sockets now, w + r + f").field("charged"),
    gauge("skmem_wmem_queued", "bytes", "Sum of w over sockets now").field("wmem_queued"),
    gauge("skmem_rmem_alloc", "bytes", "Sum of r over sockets now").field("rmem_alloc"),
    gauge("skmem_forward_alloc", "bytes", "Sum of f over sockets now").field("forward_alloc"),
    gauge(
        "skmem_sockets_full",
        "",
        "Sockets whose send buffer is full now: wmem_queued is at or over sndbuf",
    ),
    gauge(
        "skmem_sockets_held_up",
        "",
        "Sockets whose sender is held up now: asleep in a send call, or turned away and not let in since",
    ),
    gauge(
        "skmem_worst_excess",
        "bytes",
        "Furthest that a socket's wmem_queued went over its sndbuf, since skmem saw it",
    ),
];

/// Places in [`GROUPED`].
mod at {
    pub const SEND_ADDED: usize = 0;
    pub const SEND_FREED: usize = 1;
    pub const RECEIVE_ADDED: usize = 2;
    pub const RECEIVE_FREED: usize = 3;
    pub const BLOCKED: usize = 4;
    pub const HELD_UP: usize = 5;
    pub const REFUSED: usize = 6;
    pub const SHORT: usize = 7;
    pub const HELD_UP_BY: usize = 8;
    pub const MOVES: usize = 9;
    pub const MEMORY_REFUSED: usize = 10;
    pub const SEEN: usize = 11;
    pub const BUSY: usize = 12;
    pub const RWND: usize = 13;
    pub const SNDBUF: usize = 14;
    pub const SOCKETS: usize = 15;
    pub const CHARGED: usize = 16;
    pub const W: usize = 17;
    pub const R: usize = 18;
    pub const F: usize = 19;
    pub const FULL: usize = 20;
    pub const NOW_HELD_UP: usize = 21;
    pub const WORST: usize = 22;
}

const REASONS: [&str; 3] = ["limit", "memory", "lowat"];

/// A label besides those of the group.
type Besides = Option<(&'static str, &'static str)>;

/// Hands on each series of a group. Of an account nothing is shown until there is one: counters of
/// what was never counted would read as 0.
fn each(sums: &Sums, now: &Now, emit: &mut dyn FnMut(usize, Besides, Value)) {
    let seconds = |ns: u64| Value::Seconds(ns as f64 / 1e9);
    let mut count = |at, besides, n| emit(at, besides, Value::Count(n));
    for (cause, bytes) in by_cause(&sums.send_added) {
        count(at::SEND_ADDED, Some(("cause", cause)), bytes);
    }
    let mut alarming = |at, besides, n| {
        if n == 0 && sums.sockets != 0 {
            count(at, besides, 0);
        }
    };
    // What alerts ask for is shown from the first account on, also at 0: rate() and increase() do
    // not see the first step of a series that comes with it.
    let (none, shrunk) = (Cause::Unattributed, LimitCause::ShrunkByMemoryPressure);
    let unattributed = sums.send_added[none as usize];
    alarming(at::SEND_ADDED, Some(("cause", none.name())), unattributed);
    let shrinks = sums.moves[shrunk as usize];
    alarming(at::MOVES, Some(("cause", shrunk.name())), shrinks);
    alarming(at::MEMORY_REFUSED, None, sums.memory_refused);
    for (cause, bytes) in by_cause(&sums.send_freed) {
        count(at::SEND_FREED, Some(("cause", cause)), bytes);
    }
    for (cause, bytes) in by_receive_cause(&sums.receive_added) {
        count(at::RECEIVE_ADDED, Some(("cause", cause)), bytes);
    }
    for (cause, bytes) in by_receive_cause(&sums.receive_freed) {
        count(at::RECEIVE_FREED, Some(("cause", cause)), bytes);
    }
    for (reason, times) in REASONS.into_iter().zip(sums.reasons) {
        if times != 0 {
            count(at::HELD_UP, Some(("reason", reason)), times);
        }
    }
    for (holder, times) in by_holder(&sums.holders) {
        count(at::HELD_UP_BY, Some(("holder", holder)), times);
    }
    for (cause, moves) in by_limit_cause(&sums.moves) {
        count(at::MOVES, Some(("cause", cause)), moves);
    }
    for (place, n) in [
        (at::REFUSED, sums.refusals),
        (at::SHORT, sums.short_writes),
        (at::MEMORY_REFUSED, sums.memory_refused),
    ] {
        if n != 0 {
            count(place, None, n);
        }
    }
    if sums.sockets != 0 {
        count(at::SEEN, None, sums.sockets);
        count(at::NOW_HELD_UP, None, now.held_up);
        for (reason, ns) in REASONS.into_iter().zip(sums.blocked_ns) {
            emit(at::BLOCKED, Some(("reason", reason)), seconds(ns));
        }
        emit(at::WORST, None, Value::Signed(sums.worst_excess.into()));
    }
    for (place, ns) in [
        (at::BUSY, sums.busy_ns),
        (at::RWND, sums.rwnd_limited_ns),
        (at::SNDBUF, sums.sndbuf_limited_ns),
    ] {
        if ns != 0 {
            emit(place, None, seconds(ns));
        }
    }
    if now.states.is_empty() {
        return;
    }
    for (state, sockets) in &now.states {
        emit(at::SOCKETS, Some(("state", state)), Value::Count(*sockets));
    }
    for (place, bytes) in [
        (at::CHARGED, now.charged),
        (at::W, now.wmem_queued),
        (at::R, now.rmem_alloc),
        (at::F, now.forward_alloc),
    ] {
        emit(place, None, Value::Signed(bytes));
    }
    emit(at::FULL, None, Value::Count(now.full));
}

/// How many series a group has.
#[must_use]
pub fn series_of(sums: &Sums, now: &Now) -> usize {
    let mut series = 0;
    each(sums, now, &mut |_, _, _| series += 1);
    series
}

/// All metrics.
#[must_use]
pub fn families(book: &Book, machine: &Machine) -> Vec<Family> {
    let mut families: Vec<Family> = GROUPED
        .iter()
        .map(|metric| Family {
            metric: *metric,
            samples: Vec::new(),
        })
        .collect();
    for (who, group) in book.groups() {
        each(&group.sums, &group.now, &mut |place, besides, value| {
            let mut labels: Vec<_> = who
                .labels()
                .map(|(name, value)| (name, value.to_owned()))
                .collect();
            labels.extend(besides.map(|(name, value)| (name, value.to_owned())));
            families[place].samples.push(Sample { labels, value });
        });
    }
    families.retain(|family| !family.samples.is_empty());
    families.extend(of_machine(book, machine));
    let own: usize = families.iter().map(Family::series).sum();
    // This one included.
    families.push(alone(
        gauge("skmem_series", "", "Series that this scrape holds"),
        Value::Count(own as u64 + 1),
    ));
    families
}

impl Family {
    /// How many series it is to Prometheus.
    #[must_use]
    pub fn series(&self) -> usize {
        let of = |sample: &Sample| match sample.value {
            // One for each bucket, their sum, their count.
            Value::Excess(_) => EXCESS_BOUNDS.len() + 3,
            _ => 1,
        };
        self.samples.iter().map(of).sum()
    }
}

fn alone(metric: Metric, value: Value) -> Family {
    Family {
        metric,
        samples: vec![Sample {
            labels: Vec::new(),
            value,
        }],
    }
}

fn labelled(metric: Metric, label: &'static str, values: &[(&str, Value)]) -> Family {
    let samples = values.iter().map(|(name, value)| Sample {
        labels: vec![(label, (*name).to_owned())],
        value: value.clone(),
    });
    Family {
        metric,
        samples: samples.collect(),
    }
}

/// What is not of a group.
fn of_machine(book: &Book, machine: &Machine) -> Vec<Family> {
    let mut out = Vec::new();
    out.push(Family {
        metric: Metric::new(
            Kind::Info,
            "skmem_build",
            "",
            "What runs, and on which kernel",
        ),
        samples: vec![Sample {
            labels: vec![
                ("version", machine.version.clone()),
                ("kernel", machine.kernel.clone()),
            ],
            value: Value::Count(1),
        }],
    });
    let mut count = |name, help, n| out.push(alone(counter(name, "", help), Value::Count(n)));
    count("skmem_looks", "Looks at all sockets", book.looks());
    count(
        "skmem_looks_failed",
        "Looks that failed: the values are those of the look before",
        machine.failed,
    );
    count(
        "skmem_groups_retired",
        "Groups of labels that had series of their own and gave way to others: see --max-series",
        book.retired(),
    );
    if let Some(tracing) = machine.tracing {
        count(
            "skmem_records_lost",
            "Records that found the ring full. No account loses a byte by it",
            tracing.lost,
        );
        count(
            "skmem_runs_skipped",
            "Runs of eBPF programs that the kernel skipped; what they would have seen is inferred, or unattributed",
            tracing.skipped,
        );
        count(
            "skmem_sockets_without_slot",
            "Sockets that have no account because the table was full: see --max-sockets",
            tracing.no_slot,
        );
    }
    if let Some(flight) = machine.flight {
        count(
            "skmem_flight_files_written",
            "Recordings that the black box wrote: see --flight",
            flight.written,
        );
        count(
            "skmem_flight_files_failed",
            "Recordings that the black box could not write",
            flight.failed,
        );
        let help = "Records that the black box holds in memory";
        out.push(alone(
            gauge("skmem_flight_memory", "bytes", help),
            Value::Count(flight.bytes),
        ));
        let help = "1: the black box keeps records; 0: it has failed, and keeps none until skmem is started again";
        out.push(alone(
            gauge("skmem_flight_recording", "", help),
            Value::Count(flight.keeps.into()),
        ));
    }
    if let Some(tripwire) = machine.tripwire {
        out.push(alone(
            counter(
                "skmem_tripwire_met",
                "",
                "Times that a socket met the tripwire while no accounts were kept: see --tripwire",
            ),
            Value::Count(tripwire.met),
        ));
    }
    let mut value = |name, help, n| out.push(alone(gauge(name, "", help), Value::Count(n)));
    if let Some(tripwire) = machine.tripwire {
        value(
            "skmem_tripwire_armed",
            "1: accounts are kept, as a socket met the tripwire less than --hold ago or a sender waits; 0: none are",
            tripwire.armed.into(),
        );
    }
    value(
        "skmem_tracing",
        "1: the kernel keeps accounts, so there are causes; 0: sock_diag alone",
        machine.tracing.is_some().into(),
    );
    if let Some(tracing) = machine.tracing {
        value(
            "skmem_accounts",
            "Sockets with an account now",
            tracing.accounts,
        );
        value(
            "skmem_slots",
            "Sockets that can have an account at a time",
            tracing.slots,
        );
    }
    value(
        "skmem_groups_folded",
        "Groups of labels in the last look that have no series of their own: they are summed up under comm=other",
        book.folded(),
    );
    value(
        "skmem_max_series",
        "What --max-series allows",
        machine.most_series,
    );
    if machine.tracing.is_some() {
        out.push(alone(
            Metric::new(
                Kind::Histogram,
                "skmem_excess",
                "bytes",
                "How far sockets went over sndbuf: each new worst of a socket that a look found",
            ),
            Value::Excess(book.excess().clone()),
        ));
    }
    let seconds = |name, help, s| alone(gauge(name, "seconds", help), Value::Seconds(s));
    out.push(seconds(
        "skmem_look_duration",
        "How long it took to list all sockets",
        machine.took_ns as f64 / 1e9,
    ));
    out.push(seconds(
        "skmem_look_timestamp",
        "When sockets were last listed, since 1970",
        machine.realtime_ns as f64 / 1e9,
    ));
    if let Some(account) = &machine.account {
        out.extend(of_account(account));
    }
    out.extend(of_process(&machine.process));
    out
}

/// The machine's TCP memory.
fn of_account(account: &Account) -> Vec<Family> {
    let bytes = |name, help, n| alone(gauge(name, "bytes", help), Value::Signed(n));
    let mut out = vec![
        bytes(
            "skmem_tcp_memory",
            "TCP memory by the kernel's own count (TCP: mem in /proc/net/sockstat), which tcp_mem limits",
            account.kernel_bytes,
        ),
        bytes(
            "skmem_tcp_memory_difference",
            "The kernel's count less what all sockets are charged with",
            account.difference_bytes,
        ),
        bytes(
            "skmem_tcp_memory_difference_bound",
            "How large that difference may be: reserves of CPUs, and what moved while sockets were listed",
            account.bound_bytes,
        ),
        labelled(
            gauge(
                "skmem_tcp_memory_account",
                "",
                "1 for what came of the comparison: closes; open: more is charged than any socket shows; uncharged: the \
                 sockets hold more than is charged; partly-seen: not all namespaces were visited",
            ),
            "outcome",
            &[
                ("closes", Outcome::Closes),
                ("open", Outcome::Open),
                ("uncharged", Outcome::Uncharged),
                ("partly-seen", Outcome::PartlySeen),
            ]
            .map(|(name, outcome)| (name, Value::Count((account.outcome == outcome).into()))),
        ),
        alone(
            gauge(
                "skmem_orphans",
                "",
                "Sockets that their application has closed and the kernel still finishes (TCP: orphan)",
            ),
            Value::Count(account.orphans),
        ),
        alone(
            gauge(
                "skmem_time_wait",
                "",
                "TIME-WAIT sockets, which have no buffers",
            ),
            Value::Count(account.seen.time_wait),
        ),
    ];
    if let Some(marks) = account.tcp_mem {
        let page = account.page_bytes;
        let bytes = |pages: u64| Value::Count(pages.saturating_mul(page));
        out.push(labelled(
            gauge(
                "skmem_tcp_mem",
                "bytes",
                "Marks of tcp_mem: pressure begins above pressure and ends below low; nothing more is given above high",
            ),
            "mark",
            &[
                ("low", bytes(marks.low)),
                ("pressure", bytes(marks.pressure)),
                ("high", bytes(marks.high)),
            ],
        ));
    }
    out
}

/// skmem's own price, under the names that Prometheus' own libraries have.
fn of_process(process: &Process) -> Vec<Family> {
    vec![
        alone(
            counter(
                "process_cpu",
                "seconds",
                "CPU time that skmem took in user space and in its system calls",
            ),
            Value::Seconds(process.cpu_ns as f64 / 1e9),
        ),
        alone(
            gauge(
                "process_resident_memory",
                "bytes",
                "Resident memory of skmem, its table of accounts included",
            ),
            Value::Count(process.resident),
        ),
        alone(
            gauge("process_open_fds", "", "Open file descriptors of skmem"),
            Value::Count(process.fds),
        ),
        alone(
            gauge(
                "process_start_time",
                "seconds",
                "When skmem was started, since 1970",
            ),
            Value::Seconds(process.started),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        diag::TcpState,
        serve::{
            book::tests::{account, who},
            owner_labels::OwnerLabels,
        },
        snapshot::Row,
        testing::rows::{mem, socket},
    };

    /// A machine with all there can be.
    fn machine() -> Machine {
        Machine {
            kernel: "6.12".into(),
            version: "1".into(),
            account: Some(crate::snapshot::account::tests::empty()),
            tracing: Some(Tracing::default()),
            flight: Some(Flight::default()),
            tripwire: Some(Tripwire::default()),
            ..Machine::default()
        }
    }

    #[test]
    fn each_metric_has_a_name_a_unit_and_help_by_the_rules() {
        let mut names = HashSet::new();
        let book = Book::new(1000, FIXED);
        let families = families(&book, &machine());
        let all = GROUPED.iter().chain(families.iter().map(|f| &f.metric));
        for metric in all {
            let name = metric.name;
            assert!(names.insert(name), "{name} twice");
            let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
            assert!(name.bytes().all(plain), "{name}");
            // OpenMetrics gives these endings a meaning.
            for end in ["_total", "_count", "_sum", "_bucket", "_created", "_info"] {
                assert!(!name.ends_with(end), "{name}");
            }
            let help = metric.full_help();
            assert!(
                !help.is_empty() && !help.ends_with([':', ' ', '.']),
                "{help}"
            );
            // The encoder of OpenMetrics escapes nothing in a help.
            assert!(!help.contains(['\n', '\\', '"']), "{help}");
            assert!(["", "bytes", "seconds"].contains(&metric.unit), "{name}");
            if !metric.field.is_empty() {
                assert!(!glossary::meaning(metric.field).is_empty(), "{name}");
            }
        }
    }

    #[test]
    fn series_are_counted_as_they_are_printed() {
        let mut book = Book::new(1000, FIXED);
        book.begin();
        for n in 0..5 {
            let comm = format!("comm-{n}");
            book.account(&account(n + 1, 5_000, 100), &who(&comm), 1);
        }
        book.end(|_| true);
        let families = families(&book, &machine());
        let series: usize = families.iter().map(Family::series).sum();
        let said = families
            .iter()
            .find(|family| family.metric.name == "skmem_series");
        let said = &said.unwrap().samples[0].value;
        assert_eq!(*said, Value::Count(series as u64));
        let of_groups: usize = book
            .groups()
            .iter()
            .map(|(_, group)| series_of(&group.sums, &group.now))
            .sum();
        assert!(series - of_groups <= FIXED, "{}", series - of_groups);
    }

    #[test]
    fn what_alerts_ask_for_is_there_before_it_happens() {
        let mut book = Book::new(1000, FIXED);
        book.begin();
        book.account(&account(1, 5_000, 100), &who("web"), 1);
        book.end(|_| true);
        let families = families(&book, &machine());
        for (name, label) in [
            ("skmem_wmem_queued_added", "unattributed"),
            ("skmem_sndbuf_moves", "shrunk-by-memory-pressure"),
            ("skmem_memory_refused", ""),
        ] {
            let family = families.iter().find(|f| f.metric.name == name).unwrap();
            let of =
                |s: &&Sample| label.is_empty() || s.labels.iter().any(|(_, value)| value == label);
            let sample = family.samples.iter().find(of).unwrap();
            assert_eq!(sample.value, Value::Count(0), "{name} {label}");
        }
    }

    #[test]
    fn a_command_called_other_has_no_second_series() {
        // Room for some: the one that is charged most is kept.
        let mut book = Book::new(FIXED + 50, FIXED);
        book.begin();
        for n in 0..9 {
            let comm = who(&format!("comm-{n}"));
            book.account(&account(n + 1, 5_000, 100), &comm, 1);
        }
        let other = who("other");
        book.account(&account(10, 5_000, 100), &other, 1);
        let mut row = Row::new(&socket(TcpState::Established, mem(5, 1, 2, 10)), 7);
        row.charged = 1_000_000;
        book.row(&row, &other);
        book.end(|_| true);
        let mut seen = HashSet::new();
        for family in families(&book, &machine()) {
            for sample in family.samples {
                let series = (family.metric.name, sample.labels);
                assert!(seen.insert(series.clone()), "{series:?} twice");
            }
        }
        assert!(book.folded() > 0);
    }

    #[test]
    fn a_black_box_that_has_failed_says_so() {
        let book = Book::new(1000, FIXED);
        let recording = |keeps| {
            let machine = Machine {
                flight: Some(Flight {
                    keeps,
                    ..Flight::default()
                }),
                ..Machine::default()
            };
            let families = families(&book, &machine);
            let named = |family: &&Family| family.metric.name == "skmem_flight_recording";
            families.iter().find(named).unwrap().samples[0]
                .value
                .clone()
        };
        assert_eq!(recording(true), Value::Count(1));
        assert_eq!(recording(false), Value::Count(0));
        let without = families(&book, &Machine::default());
        let flight = |family: &Family| family.metric.name.starts_with("skmem_flight");
        assert!(!without.iter().any(flight));
    }

    #[test]
    fn what_was_never_counted_is_not_shown_as_zero() {
        assert_eq!(series_of(&Sums::default(), &Now::default()), 0);
        let labels: Vec<String> = OwnerLabels::other()
            .labels()
            .map(|(_, v)| v.to_owned())
            .collect();
        assert_eq!(labels, ["other"]);
    }
}
