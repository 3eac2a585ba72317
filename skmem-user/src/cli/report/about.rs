//! What a recording is of.

use std::io::Read;

use anyhow::Result;

use crate::{
    cli::{self, sockets::words},
    explain::numbers::grouped,
    recording::{Clock, Outcome, Recording, Selected},
    render::{self, schemas::About},
};

/// What of a recording this is a part of.
fn part(selected: &Selected, words: &str, clock: &Clock) -> String {
    let mut text = format!("{} of {} sockets", selected.sockets, selected.of);
    if !words.is_empty() {
        text = format!("{text} ({words})");
    }
    for (name, ns) in [("from", selected.from_ns), ("to", selected.to_ns)] {
        if let Some(ns) = ns {
            text = format!("{text}, {name} {}", render::utc(clock.wall_ns(ns)));
        }
    }
    text + "; counts of records lost and of programs are the whole recording's"
}

/// Prints it: lines of text, or one JSON object.
pub(super) fn print<R: Read>(
    recording: &Recording<R>,
    outcome: &Outcome,
    json: bool,
) -> Result<()> {
    let meta = recording.meta();
    let totals = &outcome.end.totals;
    if json {
        let end = outcome.missing.is_none().then_some(totals);
        let about = About {
            schema: 1,
            meta,
            end,
            records: recording.read(),
            damage: recording.damage().map(ToString::to_string),
        };
        return cli::print(&format!("{}\n", serde_json::to_string(&about)?));
    }
    let mut lines: Vec<(&str, String)> = Vec::new();
    let mut line = |name, text: String| {
        if !text.is_empty() {
            lines.push((name, text));
        }
    };
    let host = format!("{}, Linux {}, {}", meta.host, meta.kernel, meta.machine);
    line("machine", host);
    line("skmem", meta.skmem.clone());
    line("command", meta.command.join(" "));
    line("filters", words(&meta.filters));
    for selected in &meta.selected {
        line(
            "selected",
            part(selected, &words(&selected.filters), &meta.clock),
        );
    }
    let seconds = |ns: u64| format!("{}.{:03} s", ns / 1_000_000_000, ns / 1_000_000 % 1000);
    line("started", render::utc(meta.clock.wall_ns));
    let lasted = totals.now_ns.saturating_sub(meta.clock.monotonic_ns);
    let end = match outcome.missing {
        None => format!("{} later ({})", seconds(lasted), totals.reason),
        Some(why) => format!("{} later or after: {why}", seconds(lasted)),
    };
    line("ended", end);
    if meta.flight_ns != 0 {
        let trigger = meta.trigger.as_deref().unwrap_or("nothing");
        let text = format!(
            "the last {} or so, because of {trigger}",
            seconds(meta.flight_ns)
        );
        line("black box", text);
    }
    if meta.part > 1 {
        line("part", meta.part.to_string());
    }
    let count = |n: u64| grouped(i64::try_from(n).unwrap_or(i64::MAX));
    line("events", count(recording.read()));
    if outcome.missing.is_none() {
        line("lost", count(totals.lost()));
    }
    line("sockets", count(totals.sockets));
    line("programs", count(meta.hooks.len() as u64));
    for note in &meta.notes {
        line("lacks", note.clone());
    }
    let lines = lines.iter().map(|(name, text)| (*name, text.as_str()));
    cli::print(&render::definitions(lines, 10, &cli::style()))
}
