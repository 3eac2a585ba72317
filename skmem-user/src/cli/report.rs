//! `skmem report`: what `explain` would have said, from a recording.

use std::{cmp::Reverse, path::PathBuf, process::ExitCode};

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};

use super::{
    excerpt::{Excerpt, WindowArgs},
    explain::{print_json, print_pairs, print_text},
    instant::RecordingInstant,
    print,
    screen::Length,
    socket_name::{self, SocketFacts, SocketName},
    sockets::SocketArgs,
    style, tell,
};
use crate::{
    explain::{Source, Verdict, pair},
    model::end::{SavedAccount, Totals},
    recording::{Item, Outcome, Playback, Recording, RecordingError, outcome},
    render::{self, Listed, sanitized},
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
  skmem report run.skm --socket :5001             the sockets with this port
  skmem report run.skm --dport 443 --cgroup nginx.service
  skmem report run.skm --to 10s --at-end          as it stood after 10 s
  skmem report run.skm --at 12.5s                 12.5 s into it
  skmem report run.skm --at 03:12:22.5 --socket '10.0.0.1:40000>10.0.0.2:5001'
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
    /// Explain this socket only: its number (the cookie, as --sockets and ss -e (0x…) show it),
    /// :PORT, ADDR:PORT or SRC:PORT>DST:PORT
    #[arg(short, long, value_name = "SOCKET")]
    socket: Option<SocketName>,
    /// As of this time: since the recording's start (12.5s), before its end (-2s), on the wall
    /// clock in UTC (03:12:22.5, 2026-11-28T03:12:22), or an at_ns (@N)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true,
          conflicts_with_all = ["at_end", "sockets", "from", "to"])]
    at: Option<RecordingInstant>,
    /// Join the two ends of each connection that the recording holds both of, and say where its
    /// bytes are between send() and recv(): of `skmem record --rx`
    #[arg(long, conflicts_with_all = ["sockets", "socket", "all", "at_end", "at", "about"])]
    pair: bool,
    #[command(flatten)]
    which: SocketArgs,
    #[command(flatten)]
    window: WindowArgs,
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

/// Runs it.
///
/// # Errors
/// Where the file is not a recording, or does not have what was asked for.
pub fn run(options: &Options) -> Result<ExitCode> {
    let name = options.file.display();
    let chosen = match options.pair {
        // The other end may be anyone's: what was asked for is chosen at the end.
        true => Excerpt::of(&options.file, &SocketArgs::default(), options.window)?,
        false => Excerpt::of(&options.file, &options.which, options.window)?,
    };
    let open = || chosen.open();
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
    if options.pair {
        let selection = options.which.of_recording()?;
        let found = pair::pairs(&outcome.end, &verdicts(true), &selection);
        print_pairs(&found, options.json, &kernel, outcome.end.totals.sockets)?;
        return Ok(ExitCode::SUCCESS);
    }
    let place = name.to_string();
    if options.socket.is_some() || options.at.is_some() {
        let mut all = verdicts(true);
        let known: Vec<SocketFacts> = all
            .iter()
            .map(|v| SocketFacts::of_socket(&v.socket))
            .collect();
        let wanted = options.socket.as_ref();
        let chosen = match options.at {
            Some(at) => {
                let id = known[socket_name::one(wanted, &known, &place)?].id;
                vec![replayed(open().map_err(context)?, &outcome, id, at)?]
            }
            None => {
                let ids = socket_name::some(wanted, &known, &place)?;
                let ids: Vec<u64> = ids.into_iter().map(|n| known[n].id).collect();
                all.retain(|v| ids.contains(&v.socket.id));
                all
            }
        };
        show(&chosen, options, &kernel, 1)?;
    } else if options.sockets {
        list(&verdicts(true), options)?;
    } else {
        let verdicts = verdicts(options.all);
        if verdicts.is_empty() {
            eprintln!("skmem: {}", none(&outcome.end.totals));
        }
        show(&verdicts, options, &kernel, outcome.end.totals.sockets)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(verdicts: &[Verdict], options: &Options, kernel: &str, sockets: u64) -> Result<()> {
    if options.json {
        return print_json(verdicts, kernel, sockets);
    }
    let name = options.file.display();
    let mut more = format!("`skmem report {name} --full` prints all");
    if verdicts.len() > 1 {
        more.push_str(&format!(
            ", `skmem report {name} --sockets` lists the sockets"
        ));
    }
    print_text(verdicts, options.length, &sanitized(&more))
}

fn none(totals: &Totals) -> String {
    match totals.sockets {
        0 => "the recording holds no socket".to_owned(),
        1 => "one socket, never over its limit (--all explains it)".to_owned(),
        n => format!("{n} sockets, none over its limit (--all explains them)"),
    }
}

/// The verdict on a socket at a time, from the records up to then.
fn replayed<R: std::io::Read>(
    mut recording: Recording<R>,
    outcome: &Outcome,
    id: u64,
    at: RecordingInstant,
) -> Result<Verdict> {
    let meta = recording.meta().clone();
    let start = meta.clock.monotonic_ns;
    let end = outcome.end.totals.now_ns;
    let until = at.within((start, end), &meta.clock, "--at")?;
    let mut player = Playback::new(meta.max_sockets);
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
    let (mut kept, source) = match (found, closed) {
        (Some(kept), _) => (kept, Source::Records { missing: None }),
        (None, Some(closed)) => (closed, Source::Kernel),
        (None, None) => {
            bail!("no socket {id} in the recording up to then; --sockets lists those at its end")
        }
    };
    name(&mut kept, outcome, id);
    let totals = Totals {
        now_ns: until,
        wall_ns: meta.clock.wall_ns(until),
        ..outcome.end.totals.clone()
    };
    Ok(totals.verdict(&kept, &meta.kernel, true, source))
}

/// Names the holder of a socket that no call had named until then, as the
/// recording knows it at its end.
fn name(kept: &mut SavedAccount, outcome: &Outcome, id: u64) {
    let mut all = outcome.end.open.iter().chain(&outcome.end.closed);
    let known = all.find(|k| k.account.ident.id == id && k.account.ident.pid != 0);
    if let (0, Some(known)) = (kept.account.ident.pid, known) {
        kept.account.ident.pid = known.account.ident.pid;
        kept.account.ident.comm = known.account.ident.comm;
    }
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
