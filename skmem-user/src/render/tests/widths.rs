//! Every text fits the terminal, from 60 to 200 columns, with its words whole.

use crate::{
    decode::parse,
    explain::{
        Verdict,
        compare::{Comparison, Peak, Run},
        diff::{
            Difference,
            tests::{side, smaller},
        },
        pages,
    },
    glossary,
    kernel::doctor::{Finding, State},
    render::{self, Style, snapshot},
    testing::socket::{Socket, article},
};

const WIDTHS: [usize; 5] = [60, 80, 100, 120, 200];

/// Of a socket at both ends of IPv6, and one that needs `ss` to be long.
const SS: &str = "ESTAB 0 36416 [fd00:1234:5678:9abc::1]:54684 [fd00:1234:5678:9abc::2]:5001 \
    users:((\"python3\",pid=159,fd=3))\n\t skmem:(r0,rb131072,t0,tb8192,f3648,w37312,o0,bl0,d0) cubic \
    wscale:7,7 rto:204 rtt:0.1/0.05 mss:1448 cwnd:10 bytes_sent:100 unacked:3 rwnd_limited:4636ms(97.8%)\n";

fn texts(style: &Style) -> Vec<(&'static str, String)> {
    let v = article(896).verdict();
    let mut quiet = Socket::with_sndbuf(65_536, 896);
    quiet.write(1000);
    let run = |command: &str| Run::of(command.into(), v.clone(), &v, Peak::default(), None);
    let compared = Comparison::of(
        "article",
        "gso-max-segs",
        "smaller skbs".into(),
        run("skmem demo article"),
        run("skmem demo article --gso-max-segs 4"),
    );
    let difference = Difference::of(side("a.skm", &article(896)), side("b.skm", &smaller()));
    let finding = Finding {
        what: "a hook with a long name (tcp_sendmsg_locked)".to_owned(),
        state: State::Reduced,
        found: "not in this kernel's types, which is a long story".to_owned(),
        consequence: Some("bytes that it moves are named from the socket's fields".to_owned()),
        remedy: Some("boot a kernel that was built with CONFIG_DEBUG_INFO_BTF=y".to_owned()),
    };
    let mut texts = vec![
        ("explain", render::text(&v, style)),
        ("explain --all", render::text(&quiet.verdict(), style)),
        ("overview", render::overview(&[v.clone(), v.clone()], style)),
        (
            "report --sockets",
            render::listing(&[render::Listed::of(&v)], style),
        ),
        ("demo --fix", render::comparison(&compared, style)),
        ("diff", render::difference(&difference, style)),
        (
            "doctor",
            render::doctor(&[finding], render::Place::Here, style),
        ),
        (
            "decode",
            snapshot::decoded(&snapshot::Decoding::of(&parse(SS)), style),
        ),
        ("causes", render::cause_list(&pages::all(), style)),
        ("fields", snapshot::fields(style)),
    ];
    texts.extend(
        pages::all()
            .iter()
            .map(|page| ("causes NAME", render::cause_page(page, style))),
    );
    texts.extend(glossary::all().map(|field| ("fields NAME", snapshot::field(field, style))));
    texts
}

#[test]
fn every_line_fits() {
    for width in WIDTHS {
        let style = Style {
            width,
            ..Style::PLAIN
        };
        for (what, text) in texts(&style) {
            for line in text.lines() {
                let long = line.chars().count();
                // Both ends of a socket over IPv6 are one word.
                let one = line.trim().split(' ').filter(|w| !w.is_empty()).count() == 1;
                assert!(long <= width || one, "{what} at {width}: {long}: {line}");
                assert_eq!(line, line.trim_end(), "{what} at {width}");
            }
        }
    }
}

/// Sockets of different kinds: over the limit, within it, autotuned, empty.
fn verdicts() -> Vec<Verdict> {
    let mut within = Socket::with_sndbuf(65_536, 896);
    within.write(1000);
    let mut tuned = Socket::autotuned(16_384, 896);
    while tuned.write(1024) {}
    let empty = Socket::with_sndbuf(4096, 1280);
    vec![
        article(896).verdict(),
        article(1280).verdict(),
        within.verdict(),
        tuned.verdict(),
        empty.verdict(),
    ]
}

#[test]
fn the_brief_form_is_one_screen_and_adds_up() {
    let more = "`skmem report run.skm --full` prints all";
    for (width, lines) in [(60, 23), (60, 30), (80, 23), (120, 23), (200, 23)] {
        let style = Style {
            width,
            ..Style::PLAIN
        };
        for v in verdicts() {
            let text = render::brief(&v, &style, lines, more);
            println!("{text}");
            assert!(text.lines().count() <= lines, "{width}: {text}");
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
                assert_eq!(line, line.trim_end());
            }
            assert!(
                text.split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
                    .contains(more)
            );
            if !v.over_limit {
                continue;
            }
            // Rows are left out, but not the largest cause.
            let largest = v.causes.iter().max_by_key(|c| c.bytes.abs()).unwrap();
            let row = format!("\n  {} ", largest.cause);
            assert!(text.contains(&row), "{width}: {text}");
            // The rows of the account are its sum.
            let rows = text
                .lines()
                .skip_while(|l| !l.starts_with("account"))
                .skip(1);
            let numbers: Vec<i64> = rows
                .take_while(|l| l.starts_with("  "))
                .filter_map(|l| {
                    let number = l.split_whitespace().find(|w| w.starts_with(['+', '-']))?;
                    number.replace([',', '+'], "").parse().ok()
                })
                .collect();
            let (sum, rows) = numbers.split_last().unwrap();
            assert_eq!(rows.iter().sum::<i64>(), *sum, "{text}");
            assert_eq!(*sum, v.excess);
        }
        let text = render::brief_of_many(&verdicts(), &style, lines, more);
        println!("{text}");
        assert!(text.lines().count() <= lines, "{width}: {text}");
    }
    // However low the screen, the answer and the sum are there.
    let text = render::brief(&article(896).verdict(), &Style::PLAIN, 5, more);
    assert!(text.contains("= over") && text.contains("others"), "{text}");
}

#[test]
fn a_paste_is_one_screen_with_the_alarms_first() {
    let quiet =
        "ESTAB 0 0 10.0.0.1:1 10.0.0.2:2\n\t skmem:(r0,rb131072,t0,tb87040,f0,w0,o0,bl0,d0)\n";
    let read = parse(&[&quiet.repeat(30), SS, quiet].concat());
    let show = snapshot::Decoding::of(&read);
    for width in WIDTHS {
        let style = Style {
            width,
            ..Style::PLAIN
        };
        let text = snapshot::decoded_brief(&show, false, &style, 23, "`skmem decode --full`");
        println!("{text}");
        assert!(text.lines().count() <= 23, "{width}: {text}");
        for line in text.lines() {
            let one = !line.trim().contains(' ');
            assert!(line.chars().count() <= width || one, "{width}: {line}");
        }
        assert!(text.contains("python3"), "the alarm comes first: {text}");
        assert!(text.contains("not shown here") && text.ends_with("`skmem decode --full`\n"));
        let sorted = snapshot::decoded_brief(&show, true, &style, 23, "");
        assert!(!sorted.contains("python3"), "{sorted}");
    }
}

#[test]
fn more_columns_are_used() {
    let lines = |width: usize| {
        let style = Style {
            width,
            ..Style::PLAIN
        };
        render::text(&article(896).verdict(), &style)
            .lines()
            .count()
    };
    assert!(lines(60) > lines(100) && lines(100) > lines(200));
}
