//! The receive side as one file of HTML, with all it needs in it.

use super::{
    super::{
        html::{BandData, Colours, Data, Names, RowData, Second, Unit, Wall, Words, Worst, page},
        palette::{FORWARD_ALLOC, SEND_Q, SNDBUF, WORST},
    },
    NOTE, ReceiveFigure, bands,
};
use crate::model::timeline::receive::Filled;

/// As one file of HTML.
#[must_use]
pub fn receive_html(figure: &ReceiveFigure<'_>) -> String {
    let words = Words {
        title: figure.title(),
        headline: figure.title(),
        because: String::new(),
        subtitle: figure.subtitle(),
        note: NOTE,
        remarks: figure.remarks(),
    };
    page(&words, &data(figure), "")
}

fn data(figure: &ReceiveFigure<'_>) -> Data {
    let receiver = figure.receiver;
    let (from, to) = receiver.span();
    let since = |ns: u64| ns.wrapping_sub(figure.zero_ns).cast_signed();
    let mut samples = receiver.samples();
    if let Some(last) = samples.last().copied() {
        // What is in force at the end holds until then.
        samples.push(Filled {
            time_ns: to.max(last.time_ns),
            ..last
        });
    }
    let shut = receiver.shut().iter().map(|(a, b)| (since(*a), since(*b)));
    let worst = receiver.fullest().and_then(|fullest| {
        let sample = samples.iter().position(|s| s == fullest)?;
        Some(Worst {
            time: since(fullest.time_ns),
            sample,
        })
    });
    Data {
        began: figure.began.clone(),
        wall: Wall::of(figure.zero_wall_ns),
        unit: Unit::of(to - from),
        from: since(from),
        to: since(to),
        names: Names {
            total: "rmem_alloc",
            limit: "rcvbuf",
            inner: "window offered to the peer",
            inner_id: "window",
            shaded: "window 0",
            worst: "the fullest instant",
        },
        time: samples.iter().map(|s| since(s.time_ns)).collect(),
        bands: bands(&samples)
            .iter()
            .map(|band| BandData {
                name: band.name.to_owned(),
                colour: band.look.pair(),
                bytes: samples.iter().map(|s| band.of(s)).collect(),
            })
            .collect(),
        total: samples.iter().map(|s| s.rmem_alloc).collect(),
        limit: samples.iter().map(|s| s.rcvbuf).collect(),
        inner: samples.iter().map(|s| s.window).collect(),
        second: Some(Second {
            name: "Recv-Q",
            id: "recv_q",
            bytes: samples.iter().map(|s| s.recv_q).collect(),
            colour: [SEND_Q, "#c9a6ee"],
        }),
        send: None,
        shaded: shut
            .clone()
            .map(|(a, b)| (a, b, "yes".to_owned(), 1))
            .collect(),
        moves: Vec::new(),
        rows: vec![RowData {
            name: "window 0",
            colour: [WORST, "#ff6b7d"],
            marks: shut.collect(),
        }],
        worst,
        limit_off: false,
        colours: Colours {
            limit: [SNDBUF, "#ffffff"],
            inner: [FORWARD_ALLOC, FORWARD_ALLOC],
        },
    }
}
