//! `skmem decode`: what a pasted `ss` output means.

use std::{
    fs,
    io::{IsTerminal as _, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;

use super::{
    print,
    screen::Length,
    sockets::{SocketArgs, StateArgs},
    style,
};
use crate::{
    decode::{Decoded, Limits, Reading, Unread, findings, parse, several::Several, text},
    diag::{DiagSocket, inet_diag::dump_file},
    render::{
        sanitized,
        snapshot::{Decoding, decoded, decoded_brief},
    },
    snapshot::{
        Row,
        order::Sort,
        schema::{DecodedJson, SocketJson},
    },
};

/// Input beyond this is not output of ss, bytes.
const MOST: u64 = 1 << 30;
/// Pieces that are named one by one.
const MOST_COMPLAINTS: usize = 10;

/// Say in words what `ss -m` printed
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the output of any version of ss: mem:(…) and skmem:(…), with and without -i, -e, -o, -p, -O, -Q,
and files of ss -D; of netstat and /proc/net/tcp what they hold. Prompts, mail quotes, log times, line numbers and colours
are skipped, and hard wraps are joined; where a socket is shown several times, its values are compared. What it cannot read
is named with its line, and the rest is read. On a terminal one screen is printed, with --full and in
a pipe everything.

Examples:
  ss -tmi | skmem decode
  skmem decode incident.txt
  skmem decode --sort charged --limit 5 incident.txt
  skmem decode --state close-wait --dport 9092 incident.txt
  skmem decode --json incident.txt | jq '.sockets[].findings'
  echo 'skmem:(r0,rb131072,t0,tb8192,f1072,w15312,o0,bl0,d0)' | skmem decode

Exit status: 0 where every socket was read (other lines may stand between), 1 where one was not or
there is none, 2 for wrong usage.")]
pub struct Options {
    /// File to read; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    which: SocketArgs,
    #[command(flatten)]
    states: StateArgs,
    /// What to sort by, largest first [default: as in the input]
    #[arg(short, long, value_name = "WHAT")]
    sort: Option<Sort>,
    /// Show at most N sockets; 0 shows all
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true
    )]
    limit: usize,
    #[command(flatten)]
    length: Length,
    /// Print one JSON object (`skmem schema decode` describes it)
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
/// Where the input cannot be read, or stdout cannot be written to.
pub fn run(options: &Options) -> Result<ExitCode> {
    let bytes = input(&options.file)?;
    let read = match dump_file(&bytes) {
        Some((sockets, damaged)) => dumped(&sockets, damaged),
        None => {
            let text =
                text(&bytes).map_err(|what| anyhow!("{} is {what}", options.file.display()))?;
            parse(&text)
        }
    };
    complain(&read, &options.file);
    let failed = read.sockets.is_empty() || !read.unread.is_empty();
    let which = options.which.of_paste()?.in_states(&options.states.state);
    let mut shown: Vec<&Reading> = read
        .sockets
        .iter()
        .filter(|socket| which.holds(*socket))
        .collect();
    if let Some(by) = options.sort {
        shown.sort_by_cached_key(|socket| std::cmp::Reverse(by.of_reading(socket)));
    }
    let found = shown.len();
    if options.limit > 0 {
        shown.truncate(options.limit);
    }
    let show = Decoding {
        read: &read,
        several: Several::of(&read.sockets),
        shown,
        found,
    };
    if options.json {
        print(&format!("{}\n", serde_json::to_string(&json(&show))?))?;
    } else {
        let text = match options.length.lines() {
            Some(lines) => {
                let file = match options.file.to_str() {
                    Some("-") | None => String::new(),
                    Some(file) => format!(" {}", sanitized(file)),
                };
                let more = format!("`skmem decode --full{file}` says what each value means.");
                decoded_brief(&show, options.sort.is_some(), &style(), lines, &more)
            }
            None => decoded(&show, &style()),
        };
        print(&text)?;
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// What `ss -D` wrote, as if it had been printed.
fn dumped(sockets: &[DiagSocket], damaged: usize) -> Decoded {
    let unread = (damaged > 0).then(|| Unread {
        line: 0,
        text: format!("{damaged} messages"),
        why: "whole answers of the kernel in a file of ss -D",
    });
    let read = |socket| Reading::from(&Row::new(socket, 0));
    Decoded {
        sockets: sockets.iter().map(read).collect(),
        unread: unread.into_iter().collect(),
        ..Decoded::default()
    }
}

/// Says on stderr what was not read: what belongs to a socket, a line each; the rest in one line
/// for each program.
fn complain(read: &Decoded, file: &Path) {
    for unread in read.unread.iter().take(MOST_COMPLAINTS) {
        eprintln!(
            "skmem: line {}: expected {}, found {:?}",
            unread.line, unread.why, unread.text
        );
    }
    if let Some(more) = read
        .unread
        .len()
        .checked_sub(MOST_COMPLAINTS)
        .filter(|more| *more > 0)
    {
        eprintln!("skmem: {more} more pieces of sockets could not be read (--json lists them)");
    }
    let mut whose: Vec<&str> = Vec::new();
    for passed in &read.passed {
        if !whose.contains(&passed.what) {
            whose.push(passed.what);
        }
    }
    for what in whose {
        let of: Vec<_> = read
            .passed
            .iter()
            .filter(|passed| passed.what == what)
            .collect();
        let count: usize = of.iter().map(|passed| passed.lines).sum();
        let (lines, are) = if count == 1 {
            ("line", "is")
        } else {
            ("lines", "are")
        };
        eprintln!(
            "skmem: {count} {lines} from line {} on {are} {what}: not read",
            of[0].line
        );
    }
    if read.sockets.is_empty() && read.unread.is_empty() {
        eprintln!(
            "skmem: no TCP or UDP socket in {}: give it the output of `ss -tmi`",
            if file == Path::new("-") {
                "standard input".into()
            } else {
                file.display().to_string()
            }
        );
    }
}

fn input(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            eprintln!("skmem: paste the output of `ss -tmi`, and end with Ctrl-D");
        }
        stdin
            .take(MOST)
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
    } else {
        let opened = fs::File::open(file);
        opened
            .and_then(|opened| opened.take(MOST).read_to_end(&mut bytes))
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(bytes)
}

fn json(show: &Decoding) -> DecodedJson {
    let sockets = show.shown.iter().map(|socket| SocketJson {
        payload: socket.send_payload(),
        skb_overhead: socket.skb_overhead(),
        in_flight: socket.in_flight(),
        findings: findings(socket, &Limits::DEFAULT),
        peer_line: show.several.peer(socket).map(|peer| peer.line),
        since: show.several.since(socket),
        socket: (*socket).clone(),
    });
    DecodedJson {
        schema: crate::snapshot::SCHEMA,
        sockets: sockets.collect(),
        totals: show.totals(),
        others: show.read.others,
        unread: show.read.unread.clone(),
        passed: show.read.passed.clone(),
    }
}
