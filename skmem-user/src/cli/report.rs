//! `skmem report`: what `explain` would have said, from a recording.

use std::{cmp::Reverse, path::PathBuf, process::ExitCode, str::FromStr, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueEnum};

use super::{
    Usage,
    explain::{Length, print_json, print_text},
    print, style, tell,
};
use crate::{
    explain::{Source, Verdict},
    quantity::parse_time,
    recording::{Item, Outcome, Player, Recording, RecordingError, Totals, outcome},
    render::{self, Listed, tamed},
};

mod about;

/// Explain a recording, as `explain` would have (no root, any machine)
#[derive(Debug, Args)]
#[command(after_help = "\
The answer is that of `skmem explain` at the end of the recording: it is made from the accounts that
the kernel kept, which lie in the recording's last block. A recording without that block (skmem was
killed, the disk was full) is replayed from its records; the answer says so. On a terminal one
screen is printed, with --full and in a pipe everything.

Examples:
  skmem report run.skm
  skmem report run.skm --sockets --sort blocked
  skmem report run.skm --socket 4711 --at 12.5s   the socket with that cookie, 12.5 s into it
  skmem report run.skm --json | jq .causes
  skmem report run.skm --about                    which machine, when, which filters

Exit status: 0, 1 for a failure, 2 for wrong usage.")]
pub struct Options {
    /// A file that `skmem record` has written
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also explain sockets that never went over their limit
    #[arg(short, long)]
    all: bool,
    /// Explain the end of the recording, not the worst moment
    #[arg(long)]
    at_end: bool,
    /// List the sockets, a line each, instead
    #[arg(long, conflicts_with_all = ["at_end", "socket"])]
    sockets: bool,
    /// What to list them by: the worst excess, how long senders slept, payload sent
    #[arg(
        long,
        value_name = "BY",
        requires = "sockets",
        default_value = "excess"
    )]
    sort: Sort,
    /// Explain this socket only: its cookie, as --sockets and ss -e (0x…) show it
    #[arg(long, value_name = "COOKIE", value_parser = cookie)]
    socket: Option<u64>,
    /// As of this time: so long into the recording (12.5s), before its end (-2s), or an at_ns (@N)
    #[arg(
        long,
        value_name = "TIME",
        requires = "socket",
        allow_hyphen_values = true,
        conflicts_with = "at_end"
    )]
    at: Option<At>,
    #[command(flatten)]
    length: Length,
    /// Print one JSON object a socket
    #[arg(long)]
    json: bool,
    /// Say what was recorded where, instead
    #[arg(long, conflicts_with_all = ["sockets", "socket", "all", "at_end"])]
    about: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    Excess,
    // How long its senders slept.
    Blocked,
    // Payload that was sent.
    Bytes,
}

/// A time of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    SinceStart(Duration),
    BeforeEnd(Duration),
    Monotonic(u64),
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = |text: &str| parse_time(text).map_err(|e| e.to_string());
        if let Some(ns) = text.strip_prefix('@') {
            return ns
                .parse()
                .map(Self::Monotonic)
                .map_err(|_| format!("{ns:?} is no number of ns"));
        }
        match text.strip_prefix('-') {
            Some(before) => time(before).map(Self::BeforeEnd),
            None => time(text).map(Self::SinceStart),
        }
    }
}

/// A cookie, decimal or as `ss -e` prints it.
pub(super) fn cookie(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    number.map_err(|_| format!("{text:?} is no cookie: a number, or 0x and a hexadecimal one"))
}

/// Runs it.
///
/// # Errors
/// Where the file is no recording, or does not have what was asked for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let name = options.file.display();
    let open = || Recording::open(&options.file);
    let context = |e: RecordingError| anyhow!(e).context(format!("cannot report on {name}"));
    let (outcome, recording) = outcome(open).map_err(context)?;
    if let Some(text) = recording.shortcoming() {
        tell(&format!("{name} {text}"));
    }
    if outcome.omitted > 0 {
        let kept = match outcome.missing {
            None => "those with the worst excess are kept",
            Some(_) => "those that came first are kept",
        };
        eprintln!(
            "skmem: {} more sockets than there is room for: {kept}",
            outcome.omitted
        );
    }
    if options.about {
        about::print(&recording, &outcome, options.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let kernel = recording.meta().kernel.clone();
    let verdicts = |all| {
        outcome
            .end
            .verdicts(&kernel, all, options.at_end, outcome.source())
    };
    if let Some(id) = options.socket {
        let verdict = match options.at {
            Some(at) => replayed(open().map_err(context)?, &outcome, id, at)?,
            None => of_socket(verdicts(true), id)?,
        };
        show(&[verdict], options)?;
    } else if options.sockets {
        list(&verdicts(true), options)?;
    } else {
        let verdicts = verdicts(options.all);
        if verdicts.is_empty() && !options.json {
            eprintln!("skmem: {}", none(&outcome.end.totals));
        }
        show(&verdicts, options)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(verdicts: &[Verdict], options: &Options) -> Result<()> {
    if options.json {
        return print_json(verdicts);
    }
    let name = options.file.display();
    let mut more = format!("`skmem report {name} --full` prints all");
    if verdicts.len() > 1 {
        more.push_str(&format!(
            ", `skmem report {name} --sockets` lists the sockets"
        ));
    }
    print_text(verdicts, options.length, &tamed(&more))
}

fn none(totals: &Totals) -> String {
    match totals.sockets {
        0 => "the recording holds no socket".to_owned(),
        1 => "one socket, never over its limit (--all explains it)".to_owned(),
        n => format!("{n} sockets, none over its limit (--all explains them)"),
    }
}

fn of_socket(verdicts: Vec<Verdict>, id: u64) -> Result<Verdict> {
    let found = verdicts.into_iter().find(|v| v.socket.id == id);
    found.with_context(|| format!("no socket {id} in the recording; --sockets lists them"))
}

/// The verdict on a socket at a time, from the records up to then.
fn replayed<R: std::io::Read>(
    mut recording: Recording<R>,
    outcome: &Outcome,
    id: u64,
    at: At,
) -> Result<Verdict> {
    let meta = recording.meta().clone();
    let start = meta.clock.monotonic_ns;
    let end = outcome.end.totals.now_ns;
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let until = match at {
        At::SinceStart(time) => start.saturating_add(ns(time)),
        At::BeforeEnd(time) => end.saturating_sub(ns(time)),
        At::Monotonic(time) => time,
    };
    if !(start..=end).contains(&until) {
        let long = Duration::from_nanos(end.saturating_sub(start));
        let text = format!("--at: the recording is {:.3} s long", long.as_secs_f64());
        return Err(Usage(anyhow!(text)).into());
    }
    let mut player = Player::new(meta.max_sockets);
    let mut closed = None;
    while let Some(item) = recording.next_item() {
        match &item {
            // Of several CPUs, records lie not quite in order of time.
            Item::Record(record) if record.time_ns() > until => {}
            Item::Accounts(accounts) => {
                let own = accounts.accounts.iter().find(|k| k.account.ident.id == id);
                if accounts.now_ns <= until {
                    closed = own
                        .filter(|_| accounts.role == crate::recording::Role::Closed)
                        .cloned()
                        .or(closed);
                    player.take(&item);
                }
            }
            Item::Record(_) => player.take(&item),
        }
    }
    let found = player
        .accounts()
        .into_iter()
        .find(|k| k.account.ident.id == id);
    let (kept, source) = match (found, closed) {
        (Some(kept), _) => (kept, Source::Records { missing: None }),
        (None, Some(closed)) => (closed, Source::Kernel),
        (None, None) => {
            bail!("no socket {id} in the recording up to then; --sockets lists those at its end")
        }
    };
    let totals = Totals {
        now_ns: until,
        wall_ns: meta.clock.wall_ns(until),
        ..outcome.end.totals.clone()
    };
    Ok(totals.verdict(&kept, &meta.kernel, true, source))
}

fn list(verdicts: &[Verdict], options: &Options) -> Result<()> {
    let mut sockets: Vec<Listed> = verdicts.iter().map(Listed::of).collect();
    match options.sort {
        Sort::Excess => sockets.sort_by_key(|s| Reverse(s.worst_excess)),
        Sort::Blocked => sockets.sort_by_key(|s| Reverse(s.blocked_ns)),
        Sort::Bytes => sockets.sort_by_key(|s| Reverse(s.bytes)),
    }
    if !options.json {
        return print(&render::listing(&sockets, &style()));
    }
    for socket in &sockets {
        print(&format!("{}\n", render::listing_json(socket)?))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_cookies() {
        let of = |text: &str| text.parse::<At>();
        assert_eq!(
            of("12.5s"),
            Ok(At::SinceStart(Duration::from_millis(12_500)))
        );
        assert_eq!(of("-2s"), Ok(At::BeforeEnd(Duration::from_secs(2))));
        assert_eq!(of("@17"), Ok(At::Monotonic(17)));
        for bad in ["", "@", "@x", "-", "12:00"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert_eq!((cookie("17"), cookie("0x1f")), (Ok(17), Ok(31)));
        assert!(cookie("x").is_err());
    }
}
