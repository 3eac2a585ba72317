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

/// What the script draws of either side. Times are ns since the recording began, sizes bytes.
#[derive(Serialize)]
pub(super) struct Data {
    pub began: String,
    pub wall: Wall,
    pub unit: Unit,
    pub from: i64,
    pub to: i64,
    pub names: Names,
    pub time: Vec<i64>,
    pub bands: Vec<BandData>,
    /// What the bands add up to.
    pub total: Vec<i32>,
    pub limit: Vec<i32>,
    /// A line within the bands.
    pub inner: Vec<u32>,
    /// Another one, of the receive side.
    pub second: Option<Second>,
    /// What the send side alone has.
    pub send: Option<Send>,
    /// From, to, what the legend says then, how many.
    pub shaded: Vec<(i64, i64, String, u64)>,
    pub moves: Vec<MoveData>,
    pub rows: Vec<RowData>,
    pub worst: Option<Worst>,
    /// The limit lies so far above that it is hidden at first.
    pub limit_off: bool,
    pub colours: Colours,
}

/// What the legend calls them.
#[derive(Serialize)]
pub(super) struct Names {
    pub total: &'static str,
    pub limit: &'static str,
    pub inner: &'static str,
    /// Its name in `data-skmem`.
    pub inner_id: &'static str,
    pub shaded: &'static str,
    /// The instant that a key and a button go to.
    pub worst: &'static str,
}

/// A second line within the bands.
#[derive(Serialize)]
pub(super) struct Second {
    /// In the legend.
    pub name: &'static str,
    /// In `data-skmem`.
    pub id: &'static str,
    pub bytes: Vec<u32>,
    pub colour: Pair,
}

#[derive(Serialize)]
pub(super) struct Send {
    forward_alloc: Vec<i32>,
    wmem_alloc: Vec<i32>,
    snd_wnd: Vec<u32>,
    in_flight: Vec<u32>,
    colours: SendColours,
}

#[derive(Serialize)]
struct SendColours {
    forward_alloc: Pair,
    wmem_alloc: Pair,
}

/// The zero of the times, since 1970. In two numbers: one of ns is more than
/// JavaScript's numbers hold.
#[derive(Serialize)]
pub(super) struct Wall {
    s: u64,
    ns: u64,
}

impl Wall {
    /// Of ns since 1970.
    pub(super) fn of(ns: u64) -> Self {
        Self {
            s: ns / 1_000_000_000,
            ns: ns % 1_000_000_000,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Unit {
    name: &'static str,
    ns: f64,
    digits: u32,
}

impl Unit {
    /// In which a span of this length, in ns, is shown.
    pub(super) fn of(span_ns: u64) -> Self {
        let (name, ns) = unit(span_ns);
        let digits = match name {
            "ns" => 0,
            "µs" => 3,
            _ => 6,
        };
        Self { name, ns, digits }
    }
}

#[derive(Serialize)]
pub(super) struct BandData {
    pub name: String,
    pub colour: Pair,
    pub bytes: Vec<i64>,
}

#[derive(Serialize)]
pub(super) struct MoveData {
    time: i64,
    from: i32,
    to: i32,
    cause: &'static str,
}

#[derive(Serialize)]
pub(super) struct RowData {
    pub name: &'static str,
    pub colour: Pair,
    pub marks: Vec<(i64, i64)>,
}

#[derive(Serialize)]
pub(super) struct Worst {
    pub time: i64,
    /// Its place among the samples.
    pub sample: usize,
}

#[derive(Serialize)]
pub(super) struct Colours {
    pub limit: Pair,
    pub inner: Pair,
}

/// The words of a page.
pub(super) struct Words {
    pub title: String,
    pub headline: String,
    pub because: String,
    pub subtitle: String,
    pub note: &'static str,
    pub remarks: String,
}

/// The whole page.
#[must_use]
pub fn html(figure: &Figure<'_>) -> String {
    html_beside(figure, "")
}

/// The same with a text below the plot; empty: none.
#[must_use]
pub fn html_beside(figure: &Figure<'_>, text: &str) -> String {
    let (headline, because) = figure.headline();
    let words = Words {
        title: figure.title(),
        headline,
        because,
        subtitle: figure.subtitle().join(" · "),
        note: STACK_NOTE,
        remarks: figure.remarks().join(" "),
    };
    page(&words, &data(figure), text)
}

/// The page of these data, with a text below the plot; empty: none.
pub(super) fn page(words: &Words, data: &Data, text: &str) -> String {
    let text = match text {
        "" => String::new(),
        text => format!("<pre>{}</pre>\n", escape_lines(text)),
    };
    // It holds nothing that JSON cannot. "<" would end the script element.
    let data = serde_json::to_string(data).unwrap_or_default();
    let style = format!("{UPLOT_STYLE}\n{STYLE}");
    let words = [
        ("title", escape(&words.title)),
        ("headline", escape(&words.headline)),
        ("because", escape(&words.because)),
        ("subtitle", escape(&words.subtitle)),
        ("note", escape(words.note)),
        ("text", text),
        ("remarks", escape(&words.remarks)),
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
    Data {
        began: figure.began.clone(),
        wall: Wall::of(figure.zero_wall_ns),
        unit: Unit::of(t.to_ns() - t.from_ns()),
        from: since(t.from_ns()),
        to: since(t.to_ns()),
        names: Names {
            total: "wmem_queued",
            limit: "sndbuf",
            inner: "Send-Q",
            inner_id: "send_q",
            shaded: "blocked",
            worst: "the worst instant",
        },
        time: samples.iter().map(|s| since(s.time_ns)).collect(),
        bands: bands
            .iter()
            .map(|b| BandData {
                name: b.name.clone(),
                colour: b.look.pair(),
                bytes: samples.iter().map(|s| b.of(s)).collect(),
            })
            .collect(),
        total: samples.iter().map(|s| s.wmem_queued).collect(),
        limit: samples.iter().map(|s| s.sndbuf).collect(),
        inner: samples.iter().map(|s| s.send_q).collect(),
        second: None,
        send: Some(Send {
            forward_alloc: samples.iter().map(|s| s.forward_alloc).collect(),
            wmem_alloc: samples.iter().map(|s| s.wmem_alloc).collect(),
            snd_wnd: samples.iter().map(|s| s.snd_wnd).collect(),
            in_flight: samples.iter().map(|s| s.in_flight).collect(),
            colours: SendColours {
                forward_alloc: [FORWARD_ALLOC, FORWARD_ALLOC],
                wmem_alloc: [WMEM_ALLOC, "#4aa3e0"],
            },
        }),
        shaded: t
            .sleeps()
            .iter()
            .map(|s| {
                let on = format!("on {}", s.reason.name());
                (since(s.from_ns), since(s.to_ns), on, s.sleeps)
            })
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
            limit: [SNDBUF, "#ffffff"],
            inner: [SEND_Q, "#c9a6ee"],
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
