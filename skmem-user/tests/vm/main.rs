//! The tests that need a kernel of their own: `cargo xtask test --vm` boots one and runs this
//! program in it, as root, with `skmem` on the PATH.
//!
//! Loading the programs takes many seconds where the kernel is emulated, so nearly all trials share
//! one tracer ([`bench::Bench`]); those of the shipped binary and of a full ring load their own.
//!
//! * [`bench`]: the tracer that trials share, and the records that it read
//! * [`case`]: one scenario, from its start to the last of its sockets closed
//! * [`truth`]: the account against what the kernel itself reports
//! * [`sums`]: the account against itself: sums, identity, replay, records
//! * [`causes`]: what a scenario provokes is there
//! * [`formulas`]: bytes per cause, computed from observed sizes
//! * [`verdict`]: what is said of an account
//! * [`blame`]: who is said to hold a sender up
//! * [`binary`]: the shipped program, from outside
//! * [`recording`]: recordings: the same answer as live, and what cuts them short
//! * [`ring`]: a ring that is too small
//! * [`ablation`]: hooks and fields left out
//! * [`harm`]: what ends skmem, or happens beside it, does no harm
//! * [`rights`]: few rights, and none in the end
//! * [`process`], [`traffic`]: what those two are made of
//! * [`aggregate`]: accounts without a record of each call
//! * [`docs`]: what the docs say of this kernel
//! * [`filters`]: which sockets are traced
//! * [`library`]: the example of the library
//! * [`receive`], [`receive_account`]: the receive side: its fields, its bytes by cause
//! * [`pair`]: both ends of a connection
//! * [`held`]: senders that sleep since before the trace
//! * [`programs`]: programs that people run
//! * [`leftovers`]: what must not stay behind
//! * [`screen`]: what the shipped program does on a terminal
//! * [`top`]: `skmem top` with causes, on a terminal that is emulated
//! * [`serve`]: `skmem serve` and Prometheus, beside `SO_MEMINFO`
//! * [`metrics`], [`standing`]: questions about metrics, and a sender whose sums are known
//! * [`units`], [`containers`]: where systemd is the first process: its units, Podman's containers
//! * [`snapshot`]: `skmem snapshot` beside `ss` and the kernel's own numbers
//! * [`sockmap`]: sockmaps for trials
//! * [`selftest`]: wrong accounts are found out
//! * [`soak`]: connections that come and go: nothing grows, nothing fills
//! * [`remedies`]: what is said to help, and what is said not to
//! * [`report`]: lines for the table that `xtask` prints

#![expect(
    clippy::unwrap_used,
    reason = "helpers that host tests share may panic"
)]

mod ablation;
mod aggregate;
mod bench;
mod binary;
mod blame;
mod case;
mod causes;
mod check;
mod churn;
mod containers;
mod docs;
#[path = "../support/driven.rs"]
mod driven;
mod filters;
mod formulas;
mod harm;
mod held;
mod lean;
mod leftovers;
mod library;
mod metrics;
mod pair;
mod process;
mod programs;
mod receive;
mod receive_account;
mod recording;
mod remedies;
mod report;
mod rights;
mod ring;
#[path = "../support/schema.rs"]
mod schema;
mod screen;
mod selftest;
mod sender;
mod serve;
#[path = "../support/serving.rs"]
mod serving;
mod snapshot;
mod soak;
mod sockmap;
mod standing;
#[path = "../support/still.rs"]
mod still;
mod sums;
#[path = "../support/terminal.rs"]
mod terminal;
mod top;
mod traffic;
mod truth;
mod units;
mod verdict;

use std::process::ExitCode;

use case::Case;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// What a trial comes to.
type Outcome = Result<Completion, Failed>;

/// How `xtask` asks for those trials only that may come out differently on another architecture.
const CORE: &str = "SKMEM_TEST_CORE";

/// What their names begin with: accounts and their books, the ring, what is mapped and copied, what
/// is counted in pages, what is read from BTF, and what must not stay behind. Of those that start a
/// tracer of their own, which takes longest in emulation, only these: files, signals, terminals and
/// what other programs print are the same everywhere.
const CORE_TRIALS: &[&str] = &[
    "scenario",
    "ring::",
    "docs::",
    "snapshot::article-is",
    "snapshot::zerocopy",
    "snapshot::ktls",
    "snapshot::mptcp",
    "snapshot::memcg-limit",
    "snapshot::tcp-mem",
    "snapshot::the-account-closes-",
    "snapshot::probe-names",
    "snapshot::window-",
    "recording::report-is-the-live-verdict::article",
    "rights::two-capabilities",
    "rights::doctor",
    "end::",
];

/// How `xtask` asks for one half of [`ALIKE`], 0 or 1, where it runs several kernels.
const HALF: &str = "SKMEM_TEST_HALF";

/// What their names begin with: trials of what skmem does with what it has read (files, pages,
/// terminals, arguments, signals), each with a tracer of its own. A kernel hardly changes that, so
/// each runs on every second kernel of the matrix, an older one and a newer one.
const ALIKE: &[&str] = &[
    "binary::",
    "filters::cgroup-by-its-name",
    "held::black-box",
    "library::",
    "recording::command",
    "recording::flight",
    "recording::full-disk",
    "recording::progress",
    "recording::rotate",
    "recording::sigkill",
    "rights::under-sudo",
    "screen::",
    "serve::black-box",
    "serve::dashboard",
    "serve::receive-side",
    "top::exports",
];

fn main() -> ExitCode {
    if std::env::var_os(sender::ROLE).is_some() {
        return sender::run();
    }
    let mut arguments = Arguments::from_args();
    // The tracer is one, and a scenario ends with the thread that started it (PR_SET_PDEATHSIG).
    arguments.test_threads = Some(1);
    let before = leftovers::State::read();
    let mut trials = match units::are_there() {
        true => units::trials()
            .into_iter()
            .chain(containers::trials())
            .collect(),
        false => ordinary(before),
    };
    if std::env::var_os(CORE).is_some() {
        trials.retain(|trial| {
            CORE_TRIALS
                .iter()
                .any(|part| trial.name().starts_with(part))
        });
    }
    if let Ok(half) = std::env::var(HALF) {
        trials = half_of(trials, &half);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    report::print();
    conclusion.exit_code()
}

/// All but every second one of [`ALIKE`].
fn half_of(trials: Vec<Trial>, half: &str) -> Vec<Trial> {
    let half: usize = half.parse().expect("0 or 1");
    let mut alike = 0;
    let wanted = |trial: &Trial| {
        if !ALIKE.iter().any(|part| trial.name().starts_with(part)) {
            return true;
        }
        alike += 1;
        alike % 2 == half
    };
    trials.into_iter().filter(wanted).collect()
}

/// Those of a machine on which nothing else runs.
fn ordinary(before: leftovers::State) -> Vec<Trial> {
    let mut trials: Vec<Trial> = Case::all().into_iter().map(Case::trial).collect();
    trials.push(Trial::test(
        "scenario-end::every-record-is-accounted-for",
        bench::end,
    ));
    trials.extend(ring::trials());
    trials.extend(selftest::trials());
    trials.extend(ablation::trials());
    trials.extend(aggregate::trials());
    trials.extend(receive::trials());
    trials.extend(receive_account::trials());
    trials.extend(pair::trials());
    trials.extend(filters::trials());
    trials.extend(library::trials());
    trials.extend(held::trials());
    trials.extend(screen::trials());
    trials.extend(programs::trials());
    trials.extend(top::trials());
    trials.extend(serve::trials());
    trials.extend(docs::trials());
    trials.extend(binary::trials());
    trials.extend(remedies::trials());
    trials.extend(snapshot::trials());
    trials.extend(recording::trials());
    trials.extend(rights::trials());
    trials.extend(harm::trials());
    trials.extend(soak::trials());
    trials.push(Trial::test("end::nothing-is-left-behind", move || {
        leftovers::check(&before)
    }));
    trials
}
