//! `skmem decode`: what a pasted `ss` output means.

use std::{
    fs,
    io::{IsTerminal as _, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Args;

use super::{print, style};
use crate::{
    decode::{Decoded, Limits, findings, parse},
    render::snapshot::decoded,
    snapshot::schema::{DecodedJson, SocketJson},
};

/// Input beyond this is no output of ss, bytes.
const MOST: u64 = 1 << 30;

/// Say in words what `ss -m` printed
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the output of any version of ss: mem:(…) and skmem:(…), with and without -i, -e, -o, -p, -O.
What it cannot read is named with its line, and the rest is read.

Examples:
  ss -tmi | skmem decode
  skmem decode incident.txt
  skmem decode --json incident.txt | jq '.sockets[].findings'
  echo 'skmem:(r0,rb131072,t0,tb8192,f1072,w15312,o0,bl0,d0)' | skmem decode

Exit status: 0, 1 where something could not be read, 2 for wrong usage.")]
pub struct Options {
    /// File to read; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Print one JSON object (`skmem schema decode` describes it)
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
/// Where the input cannot be read, or stdout cannot be written to.
pub fn run(options: &Options) -> Result<ExitCode> {
    let read = parse(&input(&options.file)?);
    let nothing = read.sockets.is_empty() && read.unread.is_empty();
    let failed = nothing || !read.unread.is_empty();
    for unread in read.unread.iter().take(20) {
        eprintln!(
            "skmem: line {}: expected {}, found {:?}",
            unread.line, unread.why, unread.text
        );
    }
    if read.unread.len() > 20 {
        eprintln!(
            "skmem: {} more lines could not be read",
            read.unread.len() - 20
        );
    }
    if nothing {
        eprintln!(
            "skmem: no TCP or UDP socket in {}: give it the output of `ss -tmi`",
            options.file.display()
        );
    }
    if options.json {
        print(&format!("{}\n", serde_json::to_string(&json(read))?))?;
    } else {
        print(&decoded(&read, &style()))?;
    }
    Ok(ExitCode::from(u8::from(failed)))
}

fn input(file: &Path) -> Result<String> {
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
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn json(read: Decoded) -> DecodedJson {
    let sockets = read.sockets.into_iter().map(|socket| SocketJson {
        payload: socket.send_payload(),
        skb_overhead: socket.skb_overhead(),
        in_flight: socket.in_flight(),
        findings: findings(&socket, &Limits::DEFAULT),
        socket,
    });
    DecodedJson {
        schema: crate::snapshot::SCHEMA,
        sockets: sockets.collect(),
        others: read.others,
        unread: read.unread,
    }
}
