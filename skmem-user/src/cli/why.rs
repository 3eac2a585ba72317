//! `skmem why`: the sockets of a process, a port or a connection: what stands
//! out now, and after a short trace of the worst, who holds them up.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use target::{ParsedTarget, Target};

use super::{
    Usage, duration, offers, print,
    screen::{Length, tell},
    snapshot::probe::{self, Traced},
    sockets::{LiveArgs, words},
    style,
};
use crate::{
    explain::Verdict,
    kernel::{plan::Set, rights},
    render::{
        self, Style,
        snapshot::{self as show, Show},
    },
    snapshot::{
        Row,
        capture::{self, Captured, capture},
        findings, multipath,
        probe::{is_candidate, verdict_on},
    },
};

mod target;

/// Version of the JSON form.
const SCHEMA: u32 = 1;

/// Exit status where no socket matches.
const NOTHING: u8 = 3;

/// Findings that are shown of a socket where there is one screen.
const FINDINGS: usize = 2;

/// Sockets shown where everything is printed.
const MOST: usize = 20;

/// Say why the sockets of a process, a port or a connection are stuck or large
#[derive(Debug, Args)]
#[command(after_help = "\
Shows what stands out in each matching socket, the worst first. Then, where the rights allow it, traces
the worst of them for ten seconds, and says of each who holds it up and what put the bytes there.
Looks into all network namespaces as root.

Examples:
  skmem why 4711                the sockets of a process
  skmem why nginx               of all processes of that name (or nginx.service)
  skmem why :5432               those with this port at either end
  skmem why 10.0.0.7:5432       those with this address and port at either end
  skmem why [fd00::7]:5432
  skmem why fd00::7             those with this address at either end
  skmem why --dport 5432 --comm nginx   chosen as in the other commands
  skmem why 5432 --no-trace     only look: no eBPF, any user
  skmem why 4711 --json | jq '.verdicts[].blame.sentence'

Exit status: 0, 1 for a failure, 2 for wrong usage, 3 where no socket matches.")]
pub struct Options {
    /// A process (its id, its name or a unit), :PORT, ADDR:PORT, ADDR or SRC:PORT>DST:PORT; a
    /// number is the process with that id where it has sockets, else a port
    #[arg(value_name = "PID|NAME|PORT|ADDR:PORT", add = offers::processes())]
    what: Option<String>,
    #[command(flatten)]
    which: LiveArgs,
    /// Trace for this long
    #[arg(short, long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    duration: Duration,
    /// Trace the N worst sockets
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    worst: u8,
    /// Do not trace: only look
    #[arg(long, conflicts_with_all = ["duration", "worst"])]
    no_trace: bool,
    #[command(flatten)]
    length: Length,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Options {
    /// The words that ask for the same again.
    fn again(&self, asked: &str) -> String {
        let what = self.what.as_deref();
        what.map_or_else(
            || asked.to_owned(),
            |what| match self.which.sockets.is_empty() {
                true => what.to_owned(),
                false => format!("{what} {}", words(&self.which.sockets.named())),
            },
        )
    }
}

/// What `--json` prints: docs/json.md.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Why")]
struct Answer<'a> {
    /// Version of this form
    schema: u32,
    /// `uname -r`
    kernel: &'a str,
    /// When the sockets were listed, ns since 1970
    realtime_ns: u64,
    /// How the word was taken.
    asked: String,
    /// As `skmem snapshot --json` has them, the worst first.
    sockets: &'a [Row],
    /// How long was traced, ns; None: not at all.
    traced_ns: Option<u64>,
    /// Why not.
    not_traced: Option<&'a str>,
    /// As `skmem explain --json` has them, the worst socket's first.
    verdicts: &'a [Verdict],
    /// What could not be seen.
    notes: &'a [String],
}

/// The schema of its JSON.
pub(super) fn schema() -> Schema {
    schema_for!(Answer<'static>)
}

/// Runs it.
///
/// # Errors
/// Where nobody is meant, the kernel does not answer, or stdout cannot be
/// written to.
pub async fn run(options: Options, verbose: bool) -> Result<ExitCode> {
    let which = options.which.selection()?;
    let target = options.what.as_deref().map(Target::of).transpose();
    let target = target.map_err(Usage)?;
    if target.is_none() && which.is_all() {
        let text =
            "say which sockets: a process, a port or an address, or options such as --dport 443";
        return Err(Usage(anyhow::anyhow!(text)).into());
    }
    let mut captured = capture(capture::Options {
        all_netns: rustix::process::geteuid().is_root(),
        owners: true,
        paths: true,
        ..capture::Options::default()
    })?;
    captured.rows.retain(|row| which.holds(row));
    let asked = match &target {
        Some(target) => target.choose(&mut captured.rows),
        None => ParsedTarget::default(),
    };
    let asked = asked.beside(&options.which.sockets.named());
    if let Some(note) = &asked.note {
        tell(note);
    }
    worst_first(&mut captured);
    let rows = &captured.rows;
    if !options.json && !rows.is_empty() {
        let traces = !options.no_trace && rights::may_trace();
        print(&looked(&captured, &options, &asked.text, traces))?;
    }
    let chosen = chosen(rows, options.worst.into());
    let traced = match () {
        () if chosen.is_empty() || options.no_trace => Err(None),
        () if !rights::may_trace() => Err(Some(
            "that needs root, or CAP_BPF and CAP_PERFMON".to_owned(),
        )),
        () => trace(&captured, &chosen, &options, verbose)
            .await
            .map_err(Some),
    };
    if options.json {
        let (verdicts, traced_ns) = match &traced {
            Ok(traced) => (&traced.verdicts[..], Some(traced.ns)),
            Err(_) => (&[][..], None),
        };
        let answer = Answer {
            schema: SCHEMA,
            kernel: &captured.kernel,
            realtime_ns: captured.realtime_ns,
            asked: asked.text,
            sockets: rows,
            traced_ns,
            not_traced: traced.as_ref().err().and_then(Option::as_deref),
            verdicts,
            notes: &captured.notes,
        };
        print(&format!("{}\n", serde_json::to_string(&answer)?))?;
    } else if rows.is_empty() {
        nothing(&captured, &asked.text);
    } else {
        print(&said(&chosen, &traced, &options, &asked.text))?;
    }
    if let Ok(traced) = traced {
        traced.detaching.done().await;
    }
    Ok(match rows.is_empty() {
        true => ExitCode::from(NOTHING),
        false => ExitCode::SUCCESS,
    })
}

/// Orders sockets by what is wrong with them, then by what they hold, and
/// sets the findings of each row.
fn worst_first(captured: &mut Captured) {
    let tcp_mem = captured.account.tcp_mem;
    findings::set(&mut captured.rows, &captured.limits, tcp_mem);
    captured.rows.sort_by_key(|row| {
        let alarms = row.findings.iter();
        let alarms = alarms.filter(|f| f.weight == crate::decode::Weight::Alarm);
        std::cmp::Reverse((alarms.count(), row.charged))
    });
    multipath::nest(&mut captured.rows);
}

/// Those that are traced: first the worst ones with a send queue, which a trace explains best;
/// then the others.
fn chosen(rows: &[Row], most: usize) -> Vec<&Row> {
    let (queue, others): (Vec<&Row>, Vec<&Row>) = rows
        .iter()
        .filter(|row| !row.listens())
        .partition(|row| is_candidate(row));
    queue.into_iter().chain(others).take(most).collect()
}

/// What stands out, before anything is traced.
fn looked(captured: &Captured, options: &Options, asked: &str, traces: bool) -> String {
    let style = style();
    let brief = options.length.lines().is_some();
    let rows = &captured.rows;
    let charged = rows.iter().map(|row| row.charged).sum();
    let summary = format!(
        "{asked}: {}; Linux {}",
        show::matching(rows.len(), charged),
        captured.kernel
    );
    let show = Show {
        most: match (brief, traces) {
            (false, _) => MOST,
            // The verdict comes below, on the same screen.
            (true, true) => 1,
            (true, false) => 2,
        },
        windows: false,
        exact: false,
        explain: true,
        words: brief.then_some(FINDINGS),
        rest: "skmem snapshot --explain shows more",
        changes: false,
        namespaces: None,
        limits: &captured.limits,
        tcp_mem: captured.account.tcp_mem,
    };
    let mut text = format!("{}\n", show::headline(&summary, &style));
    text.push_str(&show::sockets(rows, &show, &style));
    if !brief {
        text.push_str(&show::notes(&captured.notes, &style));
    }
    text
}

/// Traces them; why not, in words.
async fn trace(
    captured: &Captured,
    chosen: &[&Row],
    options: &Options,
    verbose: bool,
) -> Result<Traced, String> {
    let how = probe::How {
        time: options.duration,
        rx: true,
        at_end: false,
        set: Set::Lean,
        verbose,
    };
    let traced = probe::trace(captured, chosen, &how).await;
    let mut traced = traced.map_err(|error| format!("{error:#}"))?;
    let all = std::mem::take(&mut traced.verdicts);
    let of_chosen = chosen.iter().filter_map(|row| verdict_on(row, &all));
    traced.verdicts = of_chosen.cloned().collect();
    Ok(traced)
}

/// The verdicts, or why there are none.
fn said(
    chosen: &[&Row],
    traced: &Result<Traced, Option<String>>,
    options: &Options,
    asked: &str,
) -> String {
    let style = style();
    let aside = |text: &str| format!("\n{}\n", render::wrapped(text, style.width));
    let traced = match traced {
        Ok(traced) => traced,
        Err(None) => return String::new(),
        Err(Some(why)) => {
            return aside(&format!(
                "Not traced: {why}. A trace says who holds the sender up and which kernel code queued the bytes."
            ));
        }
    };
    if traced.verdicts.is_empty() {
        return aside(
            "Traced: no call touched these sockets meanwhile, and they queue nothing: what stands out above is \
             all that is known.",
        );
    }
    let text = match options.length.lines() {
        Some(lines) => brief(chosen, traced, lines, &style, &options.again(asked)),
        None => {
            let texts = traced.verdicts.iter().map(|v| render::text(v, &style));
            texts.collect::<Vec<_>>().join("\n")
        }
    };
    format!("\n{text}")
}

/// One verdict in a screen's lines; of several, the answers.
fn brief(chosen: &[&Row], traced: &Traced, lines: usize, style: &Style, what: &str) -> String {
    let more = format!("`skmem why {what} --full` prints all");
    if let [only] = &traced.verdicts[..] {
        return render::brief(only, style, lines, &more);
    }
    let mut text = String::new();
    for row in chosen {
        if let Some(verdict) = verdict_on(row, &traced.verdicts) {
            text.push_str(&show::name(row, style));
            text.push_str(&render::answer(verdict, style));
        }
    }
    text + &format!("{}\n", render::wrapped(&more, style.width))
}

/// No socket matches: where was looked.
fn nothing(captured: &Captured, asked: &str) {
    let mut text = format!("no TCP socket matches {asked}");
    for note in &captured.notes {
        text.push_str(&format!("; not seen: {note}"));
    }
    tell(&text);
}
