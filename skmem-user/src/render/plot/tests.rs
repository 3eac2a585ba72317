//! Pictures of the article's scenario.

use super::{Figure, html, svg, text};
use crate::{
    explain::Verdict,
    model::timeline::Timeline,
    render::Style,
    testing::{
        socket,
        story::{START, article},
    },
};

fn timeline() -> Timeline {
    let story = article();
    let mut t = Timeline::new(START, story.now, 1_000, 10_000);
    story.records.iter().for_each(|r| t.feed(r));
    t.finish();
    t
}

fn figure<'a>(timeline: &'a Timeline, verdict: Option<&'a Verdict>) -> Figure<'a> {
    Figure {
        whole: false,
        timeline,
        verdict,
        zero_ns: START,
        began: "2026-11-23 15:00:00 UTC".to_owned(),
        zero_wall_ns: 1_795_446_000_000_000_000,
        host: "<db & 1>".to_owned(),
        notes: vec!["A note.".to_owned()],
    }
}

/// What every picture must show.
fn shows(words: &str) {
    for part in [
        // The verdict.
        "client (pid 123) asked for",
        // The legend, with the values at the worst instant.
        "tail-append",
        "7,472",
        "tail-refill",
        "5,120",
        "probe-split",
        "13,488",
        "sndbuf",
        "8,192",
        "Send-Q",
        "11,696",
        "wmem_alloc",
    ] {
        assert!(words.contains(part), "{part:?} is not in\n{words}");
    }
}

#[test]
fn svg_is_well_formed_and_says_all() {
    let (t, verdict) = (timeline(), socket::article(896).verdict());
    let svg = svg(&figure(&t, Some(&verdict)));
    let document = roxmltree::Document::parse(&svg).expect("XML");
    let texts = document.descendants().filter(|n| n.has_tag_name("text"));
    let texts: Vec<_> = texts.filter_map(|n| n.text()).collect();
    let words = texts.join(" ");
    shows(&words);
    for part in [
        "worst: 5,296 bytes over at +305.4 ms",
        "8,192 → 16,384: set by the application",
        "time since the recording began, in ms",
        "it began 2026-11-23 15:00:00 UTC",
        "bytes",
        "admissions",
        "blocked",
        "forward_alloc",
        "host <db & 1>",
        "10.0.0.1:40000 → 10.0.0.2:5001",
        "1 sleep for want of send memory in this part, 400.0 ms together.",
        "A note.",
    ] {
        assert!(words.contains(part), "{part:?} is not in\n{words}");
    }
    // Nothing is drawn beyond the page, and no place is NaN.
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    let number = |n: roxmltree::Node<'_, '_>, name| n.attribute(name)?.parse::<f64>().ok();
    for node in document.descendants() {
        for (name, most) in [("x", 1123.0), ("y", 794.0), ("x1", 1123.0), ("y1", 794.0)] {
            if let Some(at) = number(node, name) {
                assert!((0.0..=most).contains(&at), "{node:?}");
            }
        }
    }
}

#[test]
fn a_terminal_of_80_by_24_is_enough() {
    let (t, verdict) = (timeline(), socket::article(896).verdict());
    let style = Style {
        width: 80,
        ..Style::PLAIN
    };
    let text = text(&figure(&t, Some(&verdict)), &style, 23);
    println!("{text}");
    shows(&text.replace('\n', " "));
    assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    assert!(text.lines().count() <= 24, "{} lines", text.lines().count());
}

#[test]
fn characters_are_stacked_as_bytes_are() {
    let t = timeline();
    let text = text(&figure(&t, None), &Style::PLAIN, 60);
    println!("{text}");
    // In the column of the worst instant, from the bottom: append, refill, the
    // split on top.
    let rows: Vec<Vec<char>> = text.lines().map(|l| l.chars().collect()).collect();
    let axis = rows.iter().position(|r| r.contains(&'└')).expect("an axis");
    let worst = rows[axis].iter().position(|c| *c == '▲').expect("a mark");
    let kinds = |column: usize| {
        let rows = rows[..axis].iter().rev();
        let plot = rows.filter(|r| r.contains(&'│') || r.contains(&'┤'));
        let mut kinds: Vec<char> = plot
            .filter_map(|r| r.get(column).copied())
            .filter(char::is_ascii_alphabetic)
            .collect();
        kinds.dedup();
        kinds
    };
    // Of two neighbours, Send-Q hides something in one at most.
    let seen = [kinds(worst), kinds(worst + 1)];
    assert!(seen.contains(&vec!['a', 'r', 'p']), "{seen:?}");
}

#[test]
fn colour_is_for_terminals_only() {
    let t = timeline();
    let plain = text(&figure(&t, None), &Style::PLAIN, 23);
    assert!(!plain.contains('\x1b'));
    let style = Style {
        colour: true,
        ..Style::PLAIN
    };
    assert!(text(&figure(&t, None), &style, 23).contains("\x1b[38;5;136ma"));
}

#[test]
fn html_is_one_file_with_exact_data() {
    let (t, verdict) = (timeline(), socket::article(896).verdict());
    let html = html(&figure(&t, Some(&verdict)));
    for outside in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(!html.contains("@@"), "a word of the template is missing");
    assert!(html.contains("&lt;db &amp; 1&gt;"));
    let (_, data) = html.split_once(r#"id="data">"#).expect("the data");
    let (data, _) = data.split_once("</script>").expect("its end");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    let list = |v: &serde_json::Value| -> Vec<i64> {
        let list = v.as_array().expect("a list").iter();
        list.map(|n| n.as_i64().expect("an integer")).collect()
    };
    let w = list(&data["total"]);
    let mut sums = vec![0; w.len()];
    for band in data["bands"].as_array().expect("a list") {
        for (sum, n) in sums.iter_mut().zip(list(&band["bytes"])) {
            *sum += n;
        }
    }
    assert_eq!(sums, w);
    assert!(list(&data["time"]).is_sorted());
    let worst = data["worst"]["sample"].as_u64().expect("a place");
    assert_eq!(w[usize::try_from(worst).expect("small")], 13_488);
}

#[cfg(feature = "png")]
#[test]
fn png_is_drawn_with_fonts_of_our_own() {
    let t = timeline();
    let bytes = super::png(&svg(&figure(&t, None))).expect("a PNG");
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("pixels");
    assert_eq!((info.width, info.height), (2246, 1588));
    let has = |rgb: [u8; 3]| pixels.chunks(4).filter(|p| p[..3] == rgb).count();
    // tail-append, which fills most, and white.
    assert!(has([0xe6, 0x9f, 0x00]) > 50_000);
    assert!(has([0xff, 0xff, 0xff]) > 500_000);
    // The title: ink where it must be, which takes a font.
    let row = |y: usize| &pixels[y * 2246 * 4..(y + 1) * 2246 * 4];
    let ink = (60..80)
        .flat_map(|y| row(y).chunks(4))
        .filter(|p| p[0] < 90);
    assert!(ink.count() > 500);
}

#[test]
fn a_socket_to_which_nothing_happened_is_a_picture_too() {
    let mut t = Timeline::new(START, START + 1_000, 100, 100);
    t.finish();
    let figure = figure(&t, None);
    assert!(figure.title().contains("Nothing happened"));
    roxmltree::Document::parse(&svg(&figure)).expect("XML");
    assert!(text(&figure, &Style::PLAIN, 23).contains("nothing happened"));
    assert!(html(&figure).contains(r#""time":[]"#));
}

#[test]
fn more_causes_than_colours_become_one_band() {
    use skmem_common::{cause::Cause, hook::Hook};
    let mut story = crate::testing::story::Story::new(1, 8192);
    for (n, cause) in Cause::ALL.iter().take(19).enumerate() {
        story
            .book(*cause, 100 * (n as i32 + 1))
            .end(Hook::SendmsgLocked);
    }
    let mut t = Timeline::new(START, story.now, 100, 100);
    story.records.iter().for_each(|r| t.feed(r));
    t.finish();
    let samples = t.samples();
    let bands = Figure::bands(&samples);
    assert!(bands.len() <= 10, "{}", bands.len());
    assert!(bands.iter().any(|b| b.name == "unattributed"));
    assert!(bands.iter().any(|b| b.name.ends_with(" others")));
    for sample in &samples {
        let sum: i64 = bands.iter().map(|b| b.of(sample)).sum();
        assert_eq!(sum, i64::from(sample.wmem_queued));
    }
}

/// 40,000 samples: a queue that goes up and down all the time.
fn busy() -> Timeline {
    let mut story = article();
    let last = story.records.last().copied().expect("a record");
    let crate::model::record::Record::Event(event) = last else {
        panic!("the article ends with an event");
    };
    let from = story.now;
    for n in 0..40_000_u64 {
        let mut event = event;
        event.time_ns = from + n * 1_000;
        event.event_no = event.event_no.wrapping_add(1 + n as u32);
        event.header.ops = 1;
        event.ops[0].kind = skmem_common::record::OP_BOOK;
        event.ops[0].cause = skmem_common::cause::Cause::TailAppend as u8;
        event.ops[0].value = if n % 2 == 0 { 5_000 } else { -5_000 };
        event.view.wmem_queued += if n % 2 == 0 { 5_000 } else { 0 };
        story
            .records
            .push(crate::model::record::Record::Event(event));
    }
    story.now = from + 40_000_000;
    let mut t = Timeline::new(from, story.now, 1_000, 3_000);
    story.records.iter().for_each(|r| t.feed(r));
    t.finish();
    t
}

#[test]
fn a_dense_picture_shows_the_stack_as_a_band() {
    let t = busy();
    let svg = svg(&figure(&t, None));
    let document = roxmltree::Document::parse(&svg).expect("XML");
    let fills: Vec<_> = document
        .descendants()
        .filter_map(|n| n.attribute("fill"))
        .collect();
    // tail-append (#e69f00), pale up to the most, full up to the least; Send-Q is not a dashed
    // smear.
    assert!(fills.contains(&"#e69f00"), "{fills:?}");
    assert!(fills.contains(&"#f5d899"), "{fills:?}");
    assert!(!svg.contains("6 3"));
    assert!(svg.contains("the pale part"));
}

#[test]
fn a_queue_far_below_its_limit_is_drawn() {
    let mut story = article();
    for record in &mut story.records {
        match record {
            crate::model::record::Record::Open(open) => open.view.sndbuf = 2_621_440,
            crate::model::record::Record::Event(event) => {
                event.view.sndbuf = 2_621_440;
                event.ops.iter_mut().for_each(|op| {
                    if op.kind == skmem_common::record::OP_LIMIT {
                        op.value = 2_621_440;
                    }
                });
            }
            _ => {}
        }
    }
    let mut t = Timeline::new(START, story.now, 1_000, 10_000);
    story.records.iter().for_each(|r| t.feed(r));
    t.finish();
    let words = text(&figure(&t, None), &Style::PLAIN, 24);
    assert!(words.contains("far above the plot"), "{words}");
    let rows = words.lines().filter(|l| l.contains('│') || l.contains('┤'));
    assert!(rows.filter(|l| l.contains('a')).count() > 3, "{words}");
    assert!(svg(&figure(&t, None)).contains("is far above this axis"));
    assert!(html(&figure(&t, None)).contains("\"limit_off\":true"));
}
