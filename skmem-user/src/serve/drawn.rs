//! A verdict as a page, with a plot of the last seconds where records of them were kept.

use std::io::Read;

use crate::{
    explain::Verdict,
    model::{survey, timeline::Timeline},
    recording::{Item, Recording},
    render::{
        self, Style,
        plot::{self, Figure, escape, escape_lines},
    },
};

/// Columns, and samples that are kept as they are: the page can be zoomed into.
const ZOOM: (usize, usize) = (2000, 20_000);

/// Why there is no plot where records are kept.
pub const QUIET: &str = "No call touched the socket in the last seconds: there is nothing to plot.";
/// The same where no more are kept.
pub const FAILED: &str =
    "The black box has failed, and keeps nothing until skmem serve is started again.";
/// The same where none were.
pub const NO_FLIGHT: &str =
    "A plot of the last seconds is here where skmem serve keeps a black box: --flight DIR.";

/// The verdict's text alone; `why` is why there is no plot.
#[must_use]
pub fn text(verdict: &Verdict, why: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>skmem explain</title>\n<pre>{}</pre>\n\
         <p>{}\n</html>\n",
        escape_lines(&render::text(verdict, &Style::PLAIN)),
        escape(why)
    )
}

/// The verdict's text below a plot of `recording`, which ends at `now_ns`; the socket's number in
/// it is that of the verdict.
#[must_use]
pub fn page<R: Read>(mut recording: Recording<R>, verdict: &Verdict, now_ns: u64) -> String {
    let id = verdict.socket.id;
    let clock = recording.meta().clock;
    let host = recording.meta().host.clone();
    let mut drawn: Option<(u64, Timeline)> = None;
    while let Some(item) = recording.next_item() {
        if let Item::Record(record) = item
            && survey::id(&record) == id
        {
            let from_ns = record.time_ns();
            let (_, timeline) = drawn
                .get_or_insert_with(|| (from_ns, Timeline::new(from_ns, now_ns, ZOOM.0, ZOOM.1)));
            timeline.feed(&record);
        }
    }
    let Some((from_ns, mut timeline)) = drawn else {
        return text(verdict, QUIET);
    };
    timeline.finish();
    let wall_ns = clock.wall_ns(from_ns);
    let figure = Figure {
        timeline: &timeline,
        verdict: Some(verdict),
        zero_ns: from_ns,
        began: render::utc(wall_ns),
        zero_wall_ns: wall_ns,
        host,
        whole: true,
        notes: Vec::new(),
    };
    plot::html_beside(&figure, &render::text(verdict, &Style::PLAIN))
}
