//! A case without and with a fix, side by side.

use std::io;

use super::{
    layout::{hang, title},
    style::{Role, Style},
    units::{bytes, change, span},
};
use crate::{
    explain::{
        compare::{Comparison, Outcome, Run},
        numbers::grouped,
    },
    model::timeline::WaitReason,
};

/// A line of the table: the two cells, and what to say of their difference.
pub(super) struct Row {
    pub name: &'static str,
    pub cells: [String; 2],
    pub change: String,
}

impl Row {
    pub fn numbers(name: &'static str, a: i64, b: i64) -> Self {
        Self {
            name,
            cells: [grouped(a), grouped(b)],
            change: difference(a, b),
        }
    }

    /// Times in ns.
    pub fn times(name: &'static str, a: u64, b: u64) -> Self {
        let change = match (a, b) {
            _ if a == b => "the same".to_owned(),
            (0, _) | (_, 0) => String::new(),
            _ => {
                let percent = i128::from(b) * 100 / i128::from(a) - 100;
                let sign = if percent > 0 { "+" } else { "" };
                format!("{sign}{percent} %")
            }
        };
        Self {
            name,
            cells: [span(a), span(b)],
            change,
        }
    }
}

/// Both runs as text. Ends with a newline.
#[must_use]
pub fn comparison(c: &Comparison, style: &Style) -> String {
    with_rows(c, &rows(&c.without, &c.with), style)
}

/// The same in at most `lines` lines, where the answer leaves room for that:
/// the last rows that show no difference are left out, then others. Ends with a
/// newline.
#[must_use]
pub fn comparison_brief(c: &Comparison, style: &Style, lines: usize) -> String {
    let mut rows = rows(&c.without, &c.with);
    let mut text = with_rows(c, &rows, style);
    while text.lines().count() > lines && rows.len() > 1 {
        let alike = rows.iter().rposition(|row| row.cells[0] == row.cells[1]);
        rows.remove(alike.unwrap_or(rows.len() - 1));
        text = with_rows(c, &rows, style);
    }
    text
}

/// What the fix comes to, in a sentence. Ends with a newline.
#[must_use]
pub fn comparison_answer(c: &Comparison, style: &Style) -> String {
    let mut out = String::new();
    hang(&mut out, "", 0, &answer(c), None, style);
    out
}

fn with_rows(c: &Comparison, rows: &[Row], style: &Style) -> String {
    let mut out = String::new();
    hang(&mut out, "", 0, &answer(c), Some(Role::Title), style);
    let heading = format!("The case {} on {}", c.scenario, c.kernel);
    title(&mut out, &heading, style);
    table(&mut out, rows, ["without", c.fix], style);
    out.push('\n');
    let text = format!(
        "`{}` and `{}` explain them",
        c.without.command, c.with.command
    );
    hang(&mut out, "", 0, &text, Some(Role::Aside), style);
    out
}

/// Rows under their headings.
pub(super) fn table(out: &mut String, rows: &[Row], heads: [&str; 2], style: &Style) {
    let width = |cell: &dyn Fn(&Row) -> usize, least: usize| {
        let widest = rows.iter().map(cell).max();
        widest.unwrap_or(0).max(least)
    };
    let name = width(&|r| r.name.len(), 0);
    let one = width(&|r| r.cells[0].chars().count(), heads[0].len());
    let two = width(&|r| r.cells[1].chars().count(), heads[1].len());
    let changed = width(&|r| r.change.chars().count(), "change".len());
    // On a narrow terminal numbers stand below their names.
    let below = 2 + name + 2 + one + 2 + two + 2 + changed > style.width;
    let line = |label: &str, cells: [&str; 2], change: &str| {
        let numbers = format!("  {:>one$}  {:>two$}  {change}", cells[0], cells[1]);
        let line = match (below, label) {
            (false, label) => format!("  {label:<name$}{numbers}"),
            (true, "") => format!("    {numbers}"),
            (true, label) => format!("  {label}\n    {numbers}"),
        };
        line.trim_end().to_owned() + "\n"
    };
    out.push_str(&style.paint(Role::Aside, line("", heads, "change").trim_end()));
    out.push('\n');
    for row in rows {
        out.push_str(&line(
            row.name,
            row.cells.each_ref().map(String::as_str),
            &row.change,
        ));
    }
}

/// Both runs as one line of JSON. Without a newline.
///
/// # Errors
/// None in practice: it holds nothing that JSON cannot.
pub fn comparison_json(comparison: &Comparison) -> io::Result<String> {
    serde_json::to_string(comparison).map_err(io::Error::from)
}

fn answer(c: &Comparison) -> String {
    let fix = format!("{} ({})", c.fix, c.does);
    if c.outcome == Outcome::NothingToFix {
        let case = c.scenario;
        return format!("{fix}: the case {case} stays within its limit anyhow.");
    }
    if c.same_limit {
        let verdict = match c.outcome {
            Outcome::WithinLimit | Outcome::Less => "helps",
            Outcome::Same => "does not help",
            _ => "makes it worse",
        };
        let limit = grouped(c.with.sndbuf);
        return format!(
            "{fix} {verdict}: with a limit of {limit}, wmem_queued {} with the fix, and {} without.",
            went(&c.with),
            went(&c.without)
        );
    }
    let queue = match c.outcome {
        Outcome::WithinLimit | Outcome::Less => "and the queue is smaller",
        Outcome::Same => "and the queue is as large",
        _ => "and the queue is larger",
    };
    let reached = |run: &Run| {
        let (w, limit) = (grouped(run.peak_wmem_queued), grouped(run.sndbuf));
        format!("{w} under a limit of {limit} ({})", standing(run))
    };
    format!(
        "{fix} moves the limit, {queue}: wmem_queued reached {} with the fix, {} without.",
        reached(&c.with),
        reached(&c.without)
    )
}

/// `went 7,184 bytes over it`, `stayed within it`.
fn went(run: &Run) -> String {
    match run.peak_excess {
        1.. => format!("went {} over it", bytes(run.peak_excess)),
        _ => "stayed within it".to_owned(),
    }
}

/// `7,184 bytes over it`, `not over it`.
fn standing(run: &Run) -> String {
    if run.peak_excess > 0 {
        format!("{} over it", bytes(run.peak_excess))
    } else {
        "not over it".to_owned()
    }
}

/// What of two runs is compared.
pub(super) fn rows(a: &Run, b: &Run) -> Vec<Row> {
    let number = |name: &'static str, of: &dyn Fn(&Run) -> i64| Row::numbers(name, of(a), of(b));
    let count = |name: &'static str, of: &dyn Fn(&Run) -> Option<i64>| Row {
        name,
        cells: [known(of(a)), known(of(b))],
        change: match (of(a), of(b)) {
            (Some(a), Some(b)) => difference(a, b),
            _ => String::new(),
        },
    };
    let words = |name: &'static str, of: &dyn Fn(&Run) -> String| Row {
        name,
        cells: [of(a), of(b)],
        change: String::new(),
    };
    let each = |r: &Run| r.skbs_made.filter(|n| *n > 0).map(|n| r.taken / n);
    vec![
        number("peak Send-Q, bytes", &|r| r.peak_send_q),
        number("peak wmem_queued, bytes", &|r| r.peak_wmem_queued),
        number("most over sk_sndbuf, bytes", &|r| r.peak_excess),
        number("  sk_sndbuf then, bytes", &|r| r.sndbuf),
        number("  size_goal then, bytes", &|r| r.size_goal),
        number("  overhead then, bytes", &|r| r.skb_overhead),
        number("bytes accepted by send()", &|r| r.taken),
        count("skbs made for it", &|r| r.skbs_made),
        count("payload for each skb, bytes", &each),
        count("segments sent", &|r| r.segments.map(i64::from)),
        words("blocked by", &|r| blocked_by(r.blocked_on).to_owned()),
        words("from first to last call", &|r| span(r.took_ns)),
    ]
}

/// What held a sender up, in words.
fn blocked_by(on: Option<WaitReason>) -> &'static str {
    match on {
        None => "-",
        Some(WaitReason::Limit) => "send buffer limit",
        Some(WaitReason::Memory) => "memory refused",
        Some(WaitReason::NotsentLowat) => "notsent_lowat",
        Some(WaitReason::Unknown) => WaitReason::Unknown.name(),
    }
}

/// `-` where it is not known.
pub(super) fn known(n: Option<i64>) -> String {
    n.map_or("-".to_owned(), grouped)
}

/// `-5,776 (-80 %)`; nothing where nothing changed.
fn difference(from: i64, to: i64) -> String {
    let by = to - from;
    if by == 0 {
        return "the same".to_owned();
    }
    if from <= 0 || to <= 0 {
        return change(by);
    }
    let percent = by.saturating_mul(100) / from;
    if percent.abs() > 999 {
        return change(by);
    }
    format!("{} ({} %)", change(by), change(percent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        explain::compare::Peak,
        testing::socket::{Socket, article},
    };

    fn run(socket: &Socket, command: &str) -> Run {
        let v = socket.verdict();
        Run::of(command.into(), v.clone(), &v, Peak::default(), None)
    }

    #[test]
    fn the_answer_comes_first_and_the_commands_last() {
        let mut small = Socket::with_sndbuf(4096, 896);
        small.view.gso_segs = 4;
        while small.write(1024) {}
        let c = Comparison::of(
            "article",
            "gso-max-segs",
            "smaller skbs".into(),
            run(&article(896), "skmem demo article"),
            run(&small, "skmem demo article --gso-max-segs 4"),
        );
        let text = comparison(&c, &Style::PLAIN);
        println!("{text}");
        assert!(text.starts_with(
            "gso-max-segs (smaller skbs) helps: with a limit of 8,192, wmem_queued went 5,184 bytes \
             over it"
        ));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = "most over sk_sndbuf, bytes 7,184 5,184 -2,000 (-27 %)";
        assert!(words.contains(line), "{text}");
        assert!(text.ends_with("`skmem demo article --gso-max-segs 4` explain them\n"));
        assert!(
            text.lines()
                .all(|l| l.chars().count() <= 100 && l.trim_end() == l)
        );
        for (width, lines) in [(60, 23), (80, 23), (120, 23), (60, 12)] {
            let style = Style {
                width,
                ..Style::PLAIN
            };
            let text = comparison_brief(&c, &style, lines);
            println!("{text}");
            assert!(text.lines().count() <= lines);
            assert!(text.lines().all(|l| l.chars().count() <= width));
            assert!(text.contains("most over sk_sndbuf") || lines < 23);
        }
        let json = comparison_json(&c).unwrap();
        assert!(json.contains(r#""outcome":"less""#) && !json.contains('\n'));
    }

    #[test]
    fn differences_are_put_in_relation() {
        assert_eq!(difference(7184, 1408), "-5,776 (-80 %)");
        assert_eq!(difference(100, 100), "the same");
        assert_eq!(difference(100, -5), "-105");
        assert_eq!(difference(10, 100_000), "+99,990");
    }
}
