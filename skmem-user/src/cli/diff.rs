//! `skmem diff`: two recordings side by side.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;

use super::{
    excerpt::{Excerpt, WindowArgs},
    print,
    socket_name::{self, SocketFacts, SocketName},
    sockets::SocketArgs,
    style, tell,
};
use crate::{
    explain::{
        compare::{Peak, Run},
        diff::{Difference, Side},
    },
    model::record::Record,
    recording::{RecordingError, outcome},
    render,
};

/// Compare two recordings: before and after a change
#[derive(Debug, Args)]
#[command(after_help = "\
Of each recording, the socket that went furthest over its limit is compared: its excess and the
causes of it, its queue, how its sender was held up; then the sums over all sockets.

Examples:
  skmem record -o before.skm -- ./sender
  skmem record -o after.skm -- ./sender --with-larger-writes
  skmem diff before.skm after.skm
  skmem diff before.skm after.skm --socket :5001     the socket with this port in both
  skmem diff before.skm after.skm --sockets 17,23    these two (skmem report --sockets lists them)
  skmem diff before.skm after.skm --comm sender --dport 443   the worst of these in both
  skmem diff before.skm after.skm --json | jq .causes

Exit status: 0, 1 for a failure, 2 for wrong usage.")]
pub struct Options {
    /// The recording before
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The recording after
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Compare this socket of A and of B: its number (cookie), :PORT, ADDR:PORT or
    /// SRC:PORT>DST:PORT
    #[arg(short, long, value_name = "SOCKET")]
    socket: Option<SocketName>,
    /// Compare these two: one of A and one of B, named as for --socket
    #[arg(long, value_name = "SOCKET,SOCKET", value_parser = pair, conflicts_with = "socket")]
    sockets: Option<(SocketName, SocketName)>,
    #[command(flatten)]
    which: SocketArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn pair(text: &str) -> Result<(SocketName, SocketName), String> {
    let (a, b) = text
        .split_once(',')
        .ok_or("give two sockets with a comma between them")?;
    Ok((a.parse()?, b.parse()?))
}

/// Runs it.
///
/// # Errors
/// Where a file is not a recording, or holds no such socket.
pub fn run(options: &Options) -> Result<ExitCode> {
    let (a, b) = options.sockets.unzip();
    let (a, b) = (a.or(options.socket), b.or(options.socket));
    let part = |file| Excerpt::of(file, &options.which, WindowArgs::default());
    let before = side(&part(&options.before)?, a)?;
    let after = side(&part(&options.after)?, b)?;
    let difference = Difference::of(before, after);
    if options.json {
        print(&format!("{}\n", render::difference_json(&difference)?))?;
    } else {
        print(&render::difference(&difference, &style()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn side(chosen: &Excerpt, wanted: Option<SocketName>) -> Result<Side> {
    let name = chosen.path().display();
    let open = || chosen.open();
    let context = |e: RecordingError| anyhow!(e).context(format!("cannot compare {name}"));
    let (outcome, recording) = outcome(open).map_err(context)?;
    if let Some(text) = recording.shortcoming() {
        tell(&format!("{name} {text}"));
    }
    let meta = recording.meta().clone();
    let verdicts = |at_end| {
        outcome
            .end
            .verdicts(&meta.kernel, true, at_end, outcome.source())
    };
    let all = verdicts(false);
    let worst = match &wanted {
        Some(wanted) => {
            let known: Vec<SocketFacts> = all
                .iter()
                .map(|v| SocketFacts::of_socket(&v.socket))
                .collect();
            &all[socket_name::one(Some(wanted), &known, &name.to_string())?]
        }
        None => all
            .first()
            .with_context(|| format!("{name} holds no socket"))?,
    };
    let id = worst.socket.id;
    let last = verdicts(true).into_iter().find(|v| v.socket.id == id);
    let last = last.unwrap_or_else(|| worst.clone());
    let mut peak = Peak::default();
    for record in open().map_err(context)?.records() {
        if let Record::Event(event) = record
            && event.socket == id
        {
            peak.note(&event);
        }
    }
    let totals = &outcome.end.totals;
    let command = meta.command.join(" ");
    let side = Side {
        file: name.to_string(),
        host: meta.host.clone(),
        kernel: meta.kernel.clone(),
        recorded_ns: totals.now_ns.saturating_sub(meta.clock.monotonic_ns),
        events: recording.read(),
        lost: outcome.missing.is_none().then(|| totals.lost()),
        sockets: totals.sockets,
        over_limit: 0,
        taken: 0,
        blocked_ns: 0,
        receive: None,
        run: Run::of(command, worst.clone(), &last, peak, None),
    };
    Ok(side.over_all(&all))
}
