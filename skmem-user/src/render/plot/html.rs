//! A page of HTML to zoom into: one file, with all it needs in it, and a
//! policy that keeps it from asking for more.

use serde::Serialize;

use super::{
    figure::{Figure, STACK_NOTE},
    palette::{FORWARD_ALLOC, Pair, SEND_Q, SNDBUF, WMEM_ALLOC, WORST},
    scale::unit,
    xml::{escape, escape_lines},
};
use crate::model::timeline::{Sample, Tick};

const PAGE: &str = include_str!("../../../assets/plot/page.html");
const STYLE: &str = include_str!("../../../assets/plot/page.css");
const SCRIPT: &str = include_str!("../../../assets/plot/page.js");
const UPLOT: &str = include_str!("../../../assets/uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../../../assets/uplot/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("../../../assets/uplot/LICENSE");

/// What the script draws. Times are ns since the recording began.
#[derive(Serialize)]
struct Data {
    began: String,
    wall: Wall,
    unit: Unit,
    from: i64,
    to: i64,
    time: Vec<i64>,
    bands: Vec<BandData>,
    wmem_queued: Vec<i32>,
    sndbuf: Vec<i32>,
    send_q: Vec<u32>,
    forward_alloc: Vec<i32>,
    wmem_alloc: Vec<i32>,
    snd_wnd: Vec<u32>,
    in_flight: Vec<u32>,
    /// From, to, on what, how many.
    sleeps: Vec<(i64, i64, &'static str, u64)>,
    moves: Vec<MoveData>,
    rows: Vec<RowData>,
    worst: Option<Worst>,
    /// The limit lies so far above that it is hidden at first.
    limit_off: bool,
    colours: Colours,
}

/// The zero of the times, since 1970. In two numbers: one of ns is more than
/// JavaScript's numbers hold.
#[derive(Serialize)]
struct Wall {
    s: u64,
    ns: u64,
}

#[derive(Serialize)]
struct Unit {
    name: &'static str,
    ns: f64,
    digits: u32,
}

#[derive(Serialize)]
struct BandData {
    name: String,
    colour: Pair,
    bytes: Vec<i64>,
}

#[derive(Serialize)]
struct MoveData {
    time: i64,
    from: i32,
    to: i32,
    cause: &'static str,
}

#[derive(Serialize)]
struct RowData {
    name: &'static str,
    colour: Pair,
    marks: Vec<(i64, i64)>,
}

#[derive(Serialize)]
struct Worst {
    time: i64,
    /// Its place among the samples.
    sample: usize,
}

#[derive(Serialize)]
struct Colours {
    sndbuf: Pair,
    send_q: Pair,
    forward_alloc: Pair,
    wmem_alloc: Pair,
}

/// The whole page.
#[must_use]
pub fn html(figure: &Figure<'_>) -> String {
    html_beside(figure, "")
}

/// The same with a text below the plot; empty: none.
#[must_use]
pub fn html_beside(figure: &Figure<'_>, text: &str) -> String {
    let text = match text {
        "" => String::new(),
        text => format!("<pre>{}</pre>\n", escape_lines(text)),
    };
    // It holds nothing that JSON cannot. "<" would end the script element.
    let data = serde_json::to_string(&data(figure)).unwrap_or_default();
    let style = format!("{UPLOT_STYLE}\n{STYLE}");
    let (headline, because) = figure.headline();
    let words = [
        ("title", escape(&figure.title())),
        ("headline", escape(&headline)),
        ("because", escape(&because)),
        ("subtitle", escape(&figure.subtitle().join(" · "))),
        ("note", escape(STACK_NOTE)),
        ("text", text),
        ("remarks", escape(&figure.remarks().join(" "))),
        ("licence", UPLOT_LICENCE.trim().to_owned()),
        ("css", style),
        ("data", data.replace('<', "\\u003c")),
        ("uplot", UPLOT.to_owned()),
        ("script", SCRIPT.to_owned()),
    ];
    // In one pass over the template: what is put in is never looked at again.
    let mut out = String::with_capacity(PAGE.len() + UPLOT.len() + 4096);
    for (n, part) in PAGE.split("@@").enumerate() {
        let word = words.iter().find(|(name, _)| n % 2 == 1 && *name == part);
        out.push_str(word.map_or(part, |(_, text)| text));
    }
    out
}

fn data(figure: &Figure<'_>) -> Data {
    let t = figure.timeline;
    let since = |ns: u64| ns.wrapping_sub(figure.zero_ns).cast_signed();
    let mut samples = t.samples();
    if let Some(last) = samples.last().copied() {
        // What is in force at the end holds until then.
        samples.push(Sample {
            time_ns: t.to_ns().max(last.time_ns),
            ..last
        });
    }
    let bands = Figure::bands(&samples);
    let worst = t.worst().and_then(|w| {
        let sample = samples.iter().position(|s| s == w)?;
        Some(Worst {
            time: since(w.time_ns),
            sample,
        })
    });
    let (name, ns) = unit(t.to_ns() - t.from_ns());
    let digits = match name {
        "ns" => 0,
        "µs" => 3,
        _ => 6,
    };
    Data {
        began: figure.began.clone(),
        wall: Wall {
            s: figure.zero_wall_ns / 1_000_000_000,
            ns: figure.zero_wall_ns % 1_000_000_000,
        },
        unit: Unit { name, ns, digits },
        from: since(t.from_ns()),
        to: since(t.to_ns()),
        time: samples.iter().map(|s| since(s.time_ns)).collect(),
        bands: bands
            .iter()
            .map(|b| BandData {
                name: b.name.clone(),
                colour: b.look.pair(),
                bytes: samples.iter().map(|s| b.of(s)).collect(),
            })
            .collect(),
        wmem_queued: samples.iter().map(|s| s.wmem_queued).collect(),
        sndbuf: samples.iter().map(|s| s.sndbuf).collect(),
        send_q: samples.iter().map(|s| s.send_q).collect(),
        forward_alloc: samples.iter().map(|s| s.forward_alloc).collect(),
        wmem_alloc: samples.iter().map(|s| s.wmem_alloc).collect(),
        snd_wnd: samples.iter().map(|s| s.snd_wnd).collect(),
        in_flight: samples.iter().map(|s| s.in_flight).collect(),
        sleeps: t
            .sleeps()
            .iter()
            .map(|s| (since(s.from_ns), since(s.to_ns), s.reason.name(), s.sleeps))
            .collect(),
        moves: t
            .moves()
            .0
            .iter()
            .map(|m| MoveData {
                time: since(m.at_ns),
                from: m.from,
                to: m.to,
                cause: Figure::move_label(m.cause),
            })
            .collect(),
        rows: rows(figure),
        worst,
        limit_off: Figure::limit_is_far(&samples),
        colours: Colours {
            sndbuf: [SNDBUF, "#ffffff"],
            send_q: [SEND_Q, "#c9a6ee"],
            forward_alloc: [FORWARD_ALLOC, FORWARD_ALLOC],
            wmem_alloc: [WMEM_ALLOC, "#4aa3e0"],
        },
    }
}

/// Ticks.
const INK: Pair = ["#1a1a1a", "#e6e6e6"];

fn rows(figure: &Figure<'_>) -> Vec<RowData> {
    let t = figure.timeline;
    let since = |ns: u64| ns.wrapping_sub(figure.zero_ns).cast_signed();
    let points = |ticks: Vec<Tick>| -> Vec<(i64, i64)> {
        let at = |t: &Tick| (since(t.at_ns), since(t.at_ns));
        ticks.iter().map(at).collect()
    };
    let spans = t.sleeps().iter();
    let all = [
        ("admissions", INK, points(t.admissions().collect())),
        (
            "blocked",
            INK,
            spans.map(|s| (since(s.from_ns), since(s.to_ns))).collect(),
        ),
        (
            "EAGAIN",
            ["#7a4b00", "#e0a040"],
            points(t.refusals().collect()),
        ),
        ("lost", [WORST, "#ff6b7d"], points(t.gaps().collect())),
    ];
    all.into_iter()
        .filter(|(name, _, marks)| matches!(*name, "admissions" | "blocked") || !marks.is_empty())
        .map(|(name, colour, marks)| RowData {
            name,
            colour,
            marks,
        })
        .collect()
}
