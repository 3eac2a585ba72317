//! `skmem snapshot`: all sockets' memory at once, and the machine's account. No eBPF needed
//! (but for `--probe` and `--window`), no privileges.

use std::{
    io::{BufWriter, IsTerminal as _, Write as _},
    os::unix::fs::MetadataExt as _,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Result, bail};
use clap::Args;

use super::{
    Usage, duration,
    host_root::HostRoot,
    print,
    screen::Length,
    sockets::{LiveArgs, StateArgs},
    style,
};
use crate::{
    diag::TcpState,
    kernel::{plan::Set, rights},
    render::{
        Style,
        snapshot::{self as show, Show},
    },
    selection::{Netns, Selection},
    snapshot::{
        SCHEMA, Snapshot,
        account::Outcome,
        capture::{self, Captured, capture},
        delta::{Previous, Turnover},
        findings,
        group::{Group, GroupBy, KeyNames, group},
        multipath,
        order::{Sort, sort},
        probe::Probe,
    },
};

mod brief;
pub(super) mod probe;
mod watch;

/// Sockets shown where nobody said how many.
const FEW: usize = 20;
/// Looks that `--check` takes before it gives up.
const LOOKS: u32 = 5;
/// Columns of the narrowest terminal whose width is kept to.
const NARROWEST: u16 = 20;
/// Exit status for an account that does not close.
const OPEN: u8 = 3;

/// Show every TCP socket's memory, whose it is, and whether it adds up
#[derive(Debug, Args)]
#[command(after_help = "\
The columns carry the letters of `ss -m`; `skmem fields w` explains one. Any user may look; root also
sees the owners of others' sockets and other network namespaces. Filters choose what is shown; the
account is always of the whole machine. On a terminal one screen is printed, with --full and in a pipe
more.

Examples:
  skmem snapshot                          the sockets that hold most, and the account
  skmem snapshot --explain --dport 5432   say in words what stands out for each
  skmem snapshot --by cgroup --all-netns  which container holds it (as root)
  skmem snapshot --by pod --all-netns     the same by pod, container or unit
  skmem snapshot --by pod --all-netns --host-root /host
                                          from a container that has the machine's root at /host
  skmem snapshot --by comm                all workers of a service together
  skmem snapshot --window --dport 5432    what fills r, and why the receive window is what it is (eBPF)
  skmem snapshot --sort fill --watch 1s   full send buffers first, with changes, each second
  skmem snapshot --probe 3                what put the bytes into the three worst queues, w and r (eBPF)
  skmem snapshot --check                  for monitoring: exit status 3 if memory is unaccounted for
  skmem snapshot --json | jq '.sockets[0]'

Exit status: 0, 1 for a failure (with --check, where nothing can be checked; with --probe, where
tracing is not possible: the snapshot is printed all the same), 2 for wrong usage,
3 with --check where the account does not close within its bound.")]
pub struct Options {
    #[command(flatten)]
    which: LiveArgs,
    #[command(flatten)]
    states: StateArgs,
    /// UDP sockets too
    #[arg(long, help_heading = "Which sockets")]
    udp: bool,
    /// MPTCP sockets are always shown: kept for scripts that ask for them
    #[arg(long, hide = true)]
    mptcp: bool,
    /// Every network namespace, not only this one (needs root)
    #[arg(short = 'A', long, help_heading = "Which sockets")]
    all_netns: bool,
    /// What one line stands for
    #[arg(short, long, value_name = "WHAT", default_value = "socket")]
    by: GroupBy,
    #[command(flatten)]
    pub(super) host_root: HostRoot,
    /// What to sort by, largest first (sockets only)
    #[arg(
        short,
        long,
        value_name = "WHAT",
        default_value = "charged",
        default_value_if("window", "true", "r")
    )]
    sort: Sort,
    /// Show at most N sockets; 0 shows all [default: 20, and all with --json and --csv]
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    /// Whole numbers of bytes instead of 2.6M
    #[arg(long)]
    bytes: bool,
    /// Say in words what stands out for each socket
    #[arg(short, long)]
    explain: bool,
    /// Ask each socket whether its limits (tb, rb) are locked, and whether it is in repair mode:
    /// borrows its descriptor for the moment (needs the right to trace its owner, and Linux
    /// 5.14)
    #[arg(long, conflicts_with = "no_owners")]
    locks: bool,
    /// Say what fills each receive buffer, and why the window is what it is, to the byte: data
    /// that is not read, skbs read in part, the error queue, what the kernel keeps back. Sorts
    /// by r where --sort is not given (a small eBPF program: root, or CAP_BPF and CAP_PERFMON;
    /// other users get what sock_diag shows)
    #[arg(long, conflicts_with_all = ["check", "csv", "by"])]
    window: bool,
    /// Do not look for the owners of sockets
    #[arg(long)]
    no_owners: bool,
    /// Look again and again, e.g. every 2s, and show what changed, until Ctrl-C
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    watch: Option<Duration>,
    /// With --watch: stop after N snapshots
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Trace the N send queues and the N receive queues that hold most for a moment, and say which
    /// kernel code put their bytes there (eBPF: root, or CAP_BPF and CAP_PERFMON) [N: 5]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "5",
          value_parser = clap::value_parser!(u8).range(1..=100),
          conflicts_with_all = ["watch", "check", "csv", "by", "udp"], help_heading = "Why it is queued")]
    probe: Option<u8>,
    /// With --probe: trace for this time
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s",
          requires = "probe", help_heading = "Why it is queued")]
    probe_time: Duration,
    /// With --probe: which kernel functions to hook, as in skmem explain
    #[arg(long, value_enum, value_name = "lean|all", default_value_t = Set::Lean,
          hide_possible_values = true, requires = "probe", help_heading = "Why it is queued")]
    hooks: Set,
    /// Print one JSON object; with --watch, one a line (`skmem schema snapshot` describes it)
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    length: Length,
    /// Print the whole account, even where it closes
    #[arg(long, conflicts_with_all = ["json", "csv", "watch", "check"])]
    account: bool,
    /// Print only the account, of every namespace; exit status 3 if it does not close (as root, it
    /// reads sockets under their locks where that narrows the bound: a small eBPF program)
    #[arg(long, conflicts_with_all = ["csv", "watch"])]
    check: bool,
}

/// A snapshot, sorted and grouped.
struct Arranged {
    captured: Captured,
    groups: Option<Vec<Group>>,
    turnover: Option<Turnover>,
    probe: Option<Probe>,
    /// With filters: how many sockets match, and what they are charged with.
    matching: Option<(usize, i64)>,
}

/// Runs it.
///
/// # Errors
/// Where the kernel does not answer, or stdout cannot be written to.
pub async fn run(options: Options, verbose: bool) -> Result<ExitCode> {
    let filter = options.selection()?;
    if options.no_owners && filter.asks_for_users() {
        return Err(Usage(anyhow::anyhow!(
            "--pid and --comm need the owners: leave out --no-owners"
        ))
        .into());
    }
    if let Some(why) = options.at_odds(&filter) {
        return Err(Usage(anyhow::anyhow!(why)).into());
    }
    if options.check {
        return check(&options);
    }
    // Another network namespace than this one has to be looked into.
    let elsewhere = filter.netns.as_ref().is_some_and(|netns| !is_here(netns));
    let mut last = Previous::default();
    let mut known = KeyNames::below(&options.host_root.dir);
    let mut look = || -> Result<Arranged> {
        let mut asked = asked(&options);
        asked.all_netns |= elsewhere;
        let mut captured = capture(asked)?;
        captured.rows.retain(|row| filter.holds(row));
        let matching = (!filter.is_all()).then(|| {
            let charged = captured.rows.iter().map(|row| row.charged).sum();
            (captured.rows.len(), charged)
        });
        let turnover = match options.watch {
            Some(_) => last.rows(&mut captured.rows),
            None => None,
        };
        let groups = match options.by {
            GroupBy::Socket => None,
            by => {
                known.refresh(by);
                let mut groups = group(&captured.rows, by, &captured.namespaces, &known);
                if options.watch.is_some() {
                    last.groups(&mut groups);
                }
                Some(groups)
            }
        };
        sort(&mut captured.rows, options.sort);
        multipath::nest(&mut captured.rows);
        Ok(Arranged {
            captured,
            groups,
            turnover,
            probe: None,
            matching,
        })
    };
    if let Some(time) = options.watch {
        watch::run(&options, time, look).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut look, detaching) = match options.probe {
        Some(most) => {
            let how = probe::ProbeRequest {
                most: most.into(),
                time: options.probe_time,
                set: options.hooks,
                verbose,
            };
            probe::run(how, look).await?
        }
        None => (look()?, None),
    };
    let failed = look
        .probe
        .as_ref()
        .is_some_and(|probe| probe.failed.is_some());
    if options.json || options.csv {
        structured(look, &options, true)?;
    } else {
        let lines = options.length.lines().filter(|_| !options.account);
        print(&match lines {
            Some(lines) => brief::of(&mut look, &options, &wide(), lines),
            None => whole(&look, &options),
        })?;
    }
    if let Some(detaching) = detaching {
        detaching.done().await;
    }
    Ok(ExitCode::from(u8::from(failed)))
}

impl Options {
    fn selection(&self) -> Result<Selection> {
        if self.states.state.contains(&TcpState::TimeWait) {
            let text = "TIME-WAIT sockets have no buffers: they are only counted, in the account";
            return Err(Usage(anyhow::anyhow!(text)).into());
        }
        Ok(self.which.selection()?.in_states(&self.states.state))
    }

    /// Options that do nothing together.
    fn at_odds(&self, filter: &Selection) -> Option<&'static str> {
        let grouped = self.by != GroupBy::Socket;
        Some(match self {
            _ if grouped && self.sort != Sort::Charged => {
                "--sort orders sockets; --by makes groups, the one that is charged most first: leave one out"
            }
            _ if grouped && self.explain => {
                "--explain speaks of sockets, and --by makes groups: leave one out"
            }
            _ if grouped && self.locks => {
                "--locks asks about sockets, and --by makes groups: leave one out"
            }
            _ if self.sort == Sort::Change && self.watch.is_none() => {
                "--sort change needs --watch: one look knows no changes"
            }
            _ if self.check && !filter.is_all() => {
                "--check is about all sockets of the machine: leave the filters out"
            }
            _ if self.check && (grouped || self.explain || self.limit.is_some() || self.locks) => {
                "--check prints the account alone: leave out --by, --explain, --limit and --locks"
            }
            _ if self.csv && self.explain => "--csv has no words: --json carries findings",
            _ => return None,
        })
    }
}

fn is_here(netns: &Netns) -> bool {
    let own = std::fs::metadata("/proc/thread-self/ns/net");
    own.is_ok_and(|own| netns.is(own.ino(), None))
}

fn asked(options: &Options) -> capture::Options {
    capture::Options {
        all_netns: options.all_netns || options.check,
        udp: options.udp,
        owners: !options.no_owners && !options.check,
        locks: options.locks,
        paths: !options.check && options.by == GroupBy::Socket && !options.csv,
        brief: false,
        windows: options.window,
        exact: false,
    }
}

/// How text looks here: as wide as the terminal.
fn wide() -> Style {
    let mut style = style();
    let out = std::io::stdout();
    if out.is_terminal()
        && let Ok(size) = rustix::termios::tcgetwinsize(&out)
        && size.ws_col >= NARROWEST
    {
        style.width = usize::from(size.ws_col).min(200);
    }
    style
}

fn how<'a>(look: &'a Arranged, options: &Options, most: usize) -> Show<'a> {
    let captured = &look.captured;
    Show {
        most: options.limit.unwrap_or(most),
        exact: options.bytes,
        explain: options.explain,
        windows: options.window,
        words: None,
        rest: "--limit 0 shows all",
        changes: look.turnover.is_some(),
        namespaces: options.all_netns.then_some(&captured.namespaces),
        limits: &captured.limits,
        tcp_mem: captured.account.tcp_mem,
    }
}

/// Sockets or groups.
fn table(look: &Arranged, options: &Options, show: &Show, style: &Style) -> String {
    match &look.groups {
        Some(groups) => {
            let what = match options.by {
                GroupBy::Socket => "socket",
                GroupBy::Process => "process",
                GroupBy::Comm => "command",
                GroupBy::User => "user",
                GroupBy::Port => "port",
                GroupBy::Cgroup => "cgroup",
                GroupBy::Unit => "unit",
                GroupBy::Container => "container",
                GroupBy::Pod => "pod",
                GroupBy::Netns => "network namespace",
                GroupBy::State => "state",
                GroupBy::Remote => "remote address",
            };
            show::groups(groups, what, show, style)
        }
        None if look.captured.rows.is_empty() => "no socket matches\n".into(),
        None => show::sockets(&look.captured.rows, show, style),
    }
}

/// One line: what is shown, and how much the machine holds.
fn summary(look: &Arranged) -> String {
    let captured = &look.captured;
    let machine = show::summary(&captured.account, &captured.kernel);
    let Some(shown) = look.matching else {
        return machine;
    };
    format!("{}; in all, {machine}", show::matching(shown.0, shown.1))
}

fn whole(look: &Arranged, options: &Options) -> String {
    let style = wide();
    let captured = &look.captured;
    let mut text = format!("{}\n\n", show::headline(&summary(look), &style));
    let show = how(look, options, FEW);
    text.push_str(&table(look, options, &show, &style));
    if let Some(probe) = &look.probe {
        text.push_str(&show::probe(probe, &captured.rows, &show, &style));
    }
    text.push('\n');
    text.push_str(&show::legend(&style));
    let closes = captured.account.outcome == Outcome::Closes;
    if options.account || !closes {
        text.push_str(&show::account(&captured.account, &style));
    }
    if options.account {
        text.push_str(&show::essay(&style));
    }
    text.push_str(&show::notes(&look.captured.notes, &style));
    text
}

/// JSON or CSV; the largest first, as many as wanted. `head`: with the columns' names.
fn structured(look: Arranged, options: &Options, head: bool) -> Result<()> {
    let Arranged {
        mut captured,
        mut groups,
        probe,
        ..
    } = look;
    let most = options.limit.filter(|most| *most > 0).unwrap_or(usize::MAX);
    captured.rows.truncate(most);
    if options.json && groups.is_none() {
        findings::set(
            &mut captured.rows,
            &captured.limits,
            captured.account.tcp_mem,
        );
    }
    if let Some(groups) = &mut groups {
        groups.truncate(most);
    }
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    if options.csv {
        let at = captured.realtime_ns;
        match &groups {
            Some(groups) => show::csv_groups(groups, at, head, &mut out)?,
            None => show::csv_rows(&captured.rows, at, head, &mut out)?,
        }
    } else {
        serde_json::to_writer(&mut out, &snapshot(captured, groups, probe))
            .map_err(std::io::Error::from)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

fn snapshot(captured: Captured, groups: Option<Vec<Group>>, probe: Option<Probe>) -> Snapshot {
    Snapshot {
        schema: SCHEMA,
        kernel: captured.kernel,
        realtime_ns: captured.realtime_ns,
        took_ns: captured.took_ns,
        account: captured.account,
        sockets: groups.is_none().then_some(captured.rows),
        groups,
        probe,
        notes: captured.notes,
    }
}

/// Looks until the account closes, a few times: memory moves while sockets are read. Where it does
/// not, or only within wide bounds, sockets are read under their locks from then on, which nothing
/// moves under.
fn check(options: &Options) -> Result<ExitCode> {
    let mut asked = asked(options);
    let mut looks = 1;
    let mut captured = capture(asked)?;
    while looks < LOOKS {
        let account = &captured.account;
        // Less than the sockets hold is not a leak; under locks, more looks show nothing else.
        let closes = match account.outcome {
            Outcome::Uncharged => asked.exact,
            outcome => outcome == Outcome::Closes,
        };
        // Before 5.16, the walk holds no locks, and all that is in w is charged: it would tell
        // nothing.
        let may = rights::may_trace() && !account.charges_zerocopy;
        let narrow = account.is_tight() || asked.exact || !may;
        if account.outcome == Outcome::PartlySeen || closes && narrow {
            break;
        }
        if !asked.exact && may {
            asked.exact = true;
        } else {
            std::thread::sleep(Duration::from_millis(100));
        }
        looks += 1;
        captured = capture(asked)?;
    }
    captured.account.attempts = looks;
    let outcome = captured.account.outcome;
    if options.json {
        captured.rows = Vec::new();
        let text = serde_json::to_string(&snapshot(captured, None, None))?;
        print(&format!("{text}\n"))?;
    } else {
        let style = wide();
        let mut text = show::account(&captured.account, &style);
        text.push_str(&show::notes(&captured.notes, &style));
        print(text.trim_start())?;
    }
    match outcome {
        Outcome::Closes | Outcome::Uncharged => Ok(ExitCode::SUCCESS),
        Outcome::Open => Ok(ExitCode::from(OPEN)),
        Outcome::PartlySeen => bail!(
            "cannot tell whether the account closes: not every network namespace was seen (run as root, in the \
             initial pid namespace)"
        ),
    }
}
