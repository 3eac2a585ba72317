//! `skmem plot` on a recording made by hand, and on real ones of the receive side.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use serde_json::Value;
use skmem_common::hook::Hook;

use super::{Options, run};
use crate::{
    cli::recorded::tests::write,
    model::record::Record,
    recording::{Item, Recording},
    testing::story::article,
};

/// Recordings that hold a receive side.
const RECEIVED: [&str; 3] = [
    "v2-error-queue.skm",
    "v3-error-queue.skm",
    "v3-slow-reader.skm",
];

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// Runs `skmem plot FILE WORDS…`.
pub(super) fn plot(file: &Path, words: &[&str]) -> anyhow::Result<()> {
    let line = ["plot", file.to_str().expect("a name")];
    let line = Line::try_parse_from(line.iter().chain(words))?;
    run(&line.options).map(drop)
}

/// A recording of the article's scenario.
pub(super) fn article_in(dir: &Path) -> PathBuf {
    let file = dir.join("a.skm");
    write(&file, "db-1", &[&article()]);
    file
}

#[test]
fn the_name_says_the_form() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = article_in(dir.path());
    for (name, start) in [
        ("a.svg", &b"<svg "[..]),
        ("a.HTML", b"<!DOCTYPE html>"),
        ("a.txt", "Send-Q is ".as_bytes()),
        #[cfg(feature = "png")]
        ("a.png", b"\x89PNG"),
    ] {
        let to = dir.path().join(name);
        plot(&file, &["-o", to.to_str().expect("a name")]).expect(name);
        let bytes = fs::read(&to).expect(name);
        assert!(bytes.starts_with(start), "{name}");
    }
    let error = plot(&file, &["-o", "x.pdf"]).expect_err("no such form");
    assert!(error.to_string().contains(".svg"), "{error}");
}

#[test]
fn a_part_of_it_is_drawn_closer() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = article_in(dir.path());
    let to = dir.path().join("a.svg");
    let words = ["--from", "700ms", "--to", "800ms", "-o"];
    let words = [&words[..], &[to.to_str().expect("a name")]].concat();
    plot(&file, &words).expect("a plot");
    let svg = fs::read_to_string(&to).expect("a file");
    // The end of the sleep and the limit's move, and not the rise before.
    assert!(
        svg.contains("8,192 → 16,384") && svg.contains(">720<"),
        "{svg}"
    );
    let error = plot(&file, &["--text", "--from", "3600s"]).expect_err("beyond");
    assert!(error.to_string().contains("is 877.4 ms long"), "{error}");
}

#[test]
fn a_sender_asleep_at_the_end_is_shown_asleep_until_then() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.skm");
    let mut story = article();
    story.end_with(Hook::WaitMemory, |e| e.kind = 1);
    // Nothing happens any more.
    story.wait_us(5_000_000);
    write(&file, "db-1", &[&story]);
    let to = dir.path().join("a.svg");
    plot(&file, &["-o", to.to_str().expect("a name")]).expect("a plot");
    let svg = fs::read_to_string(&to).expect("a file");
    assert!(
        svg.contains("2 sleeps for want of send memory, 5.4"),
        "{svg}"
    );
}

/// A recording of `skmem record --rx` that is kept here.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recordings")
        .join(name)
}

/// What `skmem plot --rx` writes of it into a file of this form.
fn received(name: &str, form: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().join(form);
    plot(&kept(name), &["--rx", "-o", to.to_str().expect("a name")]).expect("a plot");
    fs::read_to_string(&to).expect("a file")
}

/// The data of a page.
fn data(page: &str) -> Value {
    let (_, data) = page.split_once(r#"id="data">"#).expect("the data");
    let (data, _) = data.split_once("</script>").expect("its end");
    serde_json::from_str(data).expect("JSON")
}

fn list(v: &Value) -> Vec<i64> {
    let list = v.as_array().expect("a list").iter();
    list.map(|n| n.as_i64().expect("an integer")).collect()
}

/// Bands of a page by name.
fn bands(data: &Value) -> HashMap<String, Vec<i64>> {
    let bands = data["bands"].as_array().expect("a list").iter();
    bands
        .map(|b| {
            (
                b["name"].as_str().expect("a name").to_owned(),
                list(&b["bytes"]),
            )
        })
        .collect()
}

/// At each instant of a real recording the bands add up to `sk_rmem_alloc` as a record has it.
#[test]
fn bands_of_the_receive_side_add_up_to_r_as_records_have_it() {
    for name in RECEIVED {
        let data = data(&received(name, "rx.html"));
        let mut records = HashSet::new();
        let bytes = fs::read(kept(name)).expect("a recording");
        let mut recording = Recording::new(&bytes[..]).expect("a recording");
        while let Some(item) = recording.next_item() {
            if let Item::Record(Record::Receive(r)) = item {
                records.insert(i64::from(r.view.rmem_alloc));
            }
        }
        let total = list(&data["total"]);
        assert!(total.len() > 20, "{name}: {}", total.len());
        let bands = bands(&data);
        for (n, r) in total.iter().enumerate() {
            assert!(records.contains(r), "{name}: no record has r {r}");
            let parts: Vec<i64> = bands.values().map(|bytes| bytes[n]).collect();
            assert_eq!(parts.iter().sum::<i64>(), *r, "{name}, sample {n}");
            assert!(
                parts.iter().all(|part| *part >= 0),
                "{name}, sample {n}: {parts:?}"
            );
        }
        assert!(!bands.contains_key("receive-unattributed"), "{name}");
        assert!(list(&data["time"]).is_sorted());
    }
}

/// What the picture says was read and is held is what the kernel's receive queue said when the
/// window last fell to 0.
#[test]
fn the_stack_is_that_of_the_kernels_own_queue() {
    let name = "v3-slow-reader.skm";
    let data = data(&received(name, "rx.html"));
    let bytes = fs::read(kept(name)).expect("a recording");
    let mut recording = Recording::new(&bytes[..]).expect("a recording");
    let mut shut = Vec::new();
    while let Some(item) = recording.next_item() {
        if let Item::Accounts(accounts) = item {
            let all = accounts.accounts.iter().map(|a| a.account.receiving.shut);
            let shut_once = all.filter(|s| s.at_ns != 0);
            shut.extend(shut_once.map(|s| (s.rmem_alloc, s.unread, s.held)));
        }
    }
    let bands = bands(&data);
    let (r, recv_q) = (list(&data["total"]), list(&data["second"]["bytes"]));
    let (window, empty) = (list(&data["inner"]), vec![0; r.len()]);
    let of = |cause: &str, n: usize| bands.get(cause).unwrap_or(&empty)[n];
    let drawn: Vec<_> = (1..r.len())
        .filter(|n| window[*n] == 0 && window[n - 1] != 0)
        .map(|n| {
            let held = of("in-order", n) + of("coalesced", n) - recv_q[n];
            (r[n], recv_q[n], held)
        })
        .collect();
    println!("drawn {drawn:?}, in accounts {shut:?}");
    assert!(!shut.is_empty());
    for (r, unread, held) in shut {
        let kernels = (r.into(), unread.into(), held.into());
        assert!(
            held > 0 && drawn.contains(&kernels),
            "{kernels:?} is not among {drawn:?}"
        );
    }
}

#[test]
fn the_receive_side_as_svg_stays_on_its_page() {
    for name in RECEIVED {
        let svg = received(name, "rx.svg");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let document = roxmltree::Document::parse(&svg).expect("XML");
        let number = |n: roxmltree::Node<'_, '_>, name| n.attribute(name)?.parse::<f64>().ok();
        for node in document.descendants() {
            for (name, most) in [("x", 1123.0), ("y", 640.0), ("x1", 1123.0), ("y1", 640.0)] {
                if let Some(at) = number(node, name) {
                    assert!((0.0..=most).contains(&at), "{node:?}");
                }
            }
        }
        let texts = document.descendants().filter(|n| n.has_tag_name("text"));
        let words: Vec<_> = texts.filter_map(|n| n.text()).collect();
        for part in [
            "in-order",
            "rmem_alloc",
            "rcvbuf, the limit",
            "Recv-Q",
            "window 0",
        ] {
            assert!(
                words.contains(&part),
                "{name}: {part:?} is not in {words:?}"
            );
        }
    }
}

#[test]
fn the_receive_side_in_characters() {
    let text = received("v3-error-queue.skm", "rx.txt");
    println!("{text}");
    for part in [
        "e error-queued 79,572",
        "• Recv-Q",
        "─ window",
        "━ rb 80,000",
        "window 0",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let letters = |c| text.chars().filter(|found| *found == c).count();
    assert!(letters('e') > 200 && letters('▒') > 50, "{text}");
}
