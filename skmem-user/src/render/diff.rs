//! Two recordings side by side.

use std::io;

use super::{
    compare::{Row, known, rows, table},
    escape::sanitized,
    layout::{hang, title},
    style::{Role, Style},
    units::{bytes, change, span},
};
use crate::explain::{
    compare::{Outcome, Run},
    diff::{Difference, ReceiveSide, Side},
    numbers::grouped,
};

/// Both as text. Ends with a newline.
#[must_use]
pub fn difference(d: &Difference, style: &Style) -> String {
    let mut out = String::new();
    let heads = ["before", "after"];
    hang(&mut out, "", 0, &answer(d), Some(Role::Title), style);
    title(&mut out, "The recordings", style);
    for (head, side) in heads.iter().zip([&d.before, &d.after]) {
        let head = format!("  {head:<8}");
        hang(&mut out, &head, head.len(), &about(side), None, style);
    }
    title(&mut out, "The sockets furthest over their limits", style);
    for (head, side) in heads.iter().zip([&d.before, &d.after]) {
        let head = format!("  {head:<8}");
        let socket = &side.run.verdict.socket;
        let text = format!(
            "{}, {}",
            super::identity::owner(socket),
            super::identity::ends(socket)
        );
        hang(&mut out, &head, head.len(), &text, None, style);
    }
    out.push('\n');
    let (a, b) = (&d.before.run, &d.after.run);
    let mut compared = rows(a, b);
    compared.retain(|row| row.cells != ["-", "-"]);
    compared.extend(held_up(a, b));
    table(&mut out, &compared, heads, style);
    if !d.causes.is_empty() {
        title(
            &mut out,
            "Since the last admission before the worst instant, bytes by cause",
            style,
        );
        let causes = d.causes.iter();
        let causes = causes.map(|c| of_cause(c.cause.name(), c.before, c.after, c.change));
        table(&mut out, &causes.collect::<Vec<_>>(), heads, style);
    }
    title(&mut out, "All sockets", style);
    table(&mut out, &over_all(d), heads, style);
    if let (Some(a), Some(b)) = (&d.before.receive, &d.after.receive) {
        title(
            &mut out,
            "Receive memory of all sockets, bytes by cause",
            style,
        );
        let causes = d.receive_causes.iter();
        let causes = causes.map(|c| of_cause(c.cause.name(), c.before, c.after, c.change));
        let rows: Vec<Row> = causes.chain(received(a, b)).collect();
        table(&mut out, &rows, heads, style);
    }
    out
}

/// Both as one line of JSON. Without a newline.
///
/// # Errors
/// None in practice: it holds nothing that JSON cannot.
pub fn difference_json(difference: &Difference) -> io::Result<String> {
    serde_json::to_string(difference).map_err(io::Error::from)
}

fn answer(d: &Difference) -> String {
    let (a, b) = (&d.before.run, &d.after.run);
    let reached = |run: &Run| {
        let limit = grouped(run.sndbuf);
        if run.peak_excess > 0 {
            format!("went {} over the limit of {limit}", bytes(run.peak_excess))
        } else {
            format!("stayed within the limit of {limit}")
        }
    };
    let verdict = match d.outcome {
        Outcome::NothingToFix => "No socket goes over its limit, before or after",
        Outcome::WithinLimit => "The queue stays within its limit now",
        Outcome::Less if d.same_limit => "Less excess",
        Outcome::Less => "A smaller queue under another limit",
        Outcome::Same if d.same_limit => "About the same excess (within 10 %)",
        Outcome::Same => "About as large a queue (within 10 %), under another limit",
        Outcome::More if d.same_limit => "More excess",
        Outcome::More => "A larger queue under another limit",
    };
    format!(
        "{verdict}: wmem_queued {} before, and {} after.",
        reached(a),
        reached(b)
    )
}

fn about(side: &Side) -> String {
    let command = match side.run.command.as_str() {
        "" => String::new(),
        command => format!(": {command}"),
    };
    format!(
        "{}, {} on {}, Linux {}{command}",
        sanitized(&side.file),
        span(side.recorded_ns),
        side.host,
        side.kernel
    )
}

/// How the senders of the two sockets were held up.
fn held_up(a: &Run, b: &Run) -> Vec<Row> {
    let both = [&a.verdict, &b.verdict].map(|v| v.blocked);
    let time = |name, of: fn(&crate::explain::verdict::Blocked) -> u64| {
        let [a, b] = both.map(|b| b.map_or(0, |b| of(&b)));
        Row::times(name, a, b)
    };
    let count = |name, of: fn(&crate::explain::verdict::Blocked) -> u64| {
        let [a, b] = both.map(|b| b.map_or(0, |b| i64::try_from(of(&b)).unwrap_or(i64::MAX)));
        Row::numbers(name, a, b)
    };
    vec![
        time("time blocked in send()", |b| b.total_ns),
        time("  longest", |b| b.longest_ns),
        count("sleeps", |b| b.waits + b.asleep),
        count("refusals (EAGAIN)", |b| b.refusals),
        count("short writes", |b| b.short_writes),
    ]
}

fn of_cause(name: &'static str, before: i64, after: i64, less: i64) -> Row {
    Row {
        name,
        cells: [change(before), change(after)],
        change: change(less),
    }
}

fn received(a: &ReceiveSide, b: &ReceiveSide) -> Vec<Row> {
    let n = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let inside = a.reader_inside_ns.zip(b.reader_inside_ns);
    let inside = inside.map(|(a, b)| Row::times("  a reader was inside recv", a, b));
    let mut rows = vec![
        Row::numbers("payload that arrived", a.payload, b.payload),
        Row::numbers("reads", n(a.reads), n(b.reads)),
        Row::times(
            "data waited, or was being read",
            a.data_waits_ns,
            b.data_waits_ns,
        ),
    ];
    rows.extend(inside);
    rows.extend([
        Row::times(
            "a reader slept in recv",
            a.reader_waits_ns,
            b.reader_waits_ns,
        ),
        Row::times("the window was 0", a.window_zero_ns, b.window_zero_ns),
        Row::numbers("  times", n(a.zero_windows), n(b.zero_windows)),
    ]);
    rows
}

fn over_all(d: &Difference) -> Vec<Row> {
    let (a, b) = (&d.before, &d.after);
    let n = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let lost = |s: &Side| s.lost.map(n);
    vec![
        Row::numbers("sockets", n(a.sockets), n(b.sockets)),
        Row::numbers("  over their limits", n(a.over_limit), n(b.over_limit)),
        Row::numbers("bytes accepted by send()", a.taken, b.taken),
        Row::times("time blocked in send()", a.blocked_ns, b.blocked_ns),
        Row::numbers("events", n(a.events), n(b.events)),
        Row {
            name: "  lost",
            cells: [known(lost(a)), known(lost(b))],
            change: String::new(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        explain::diff::tests::{side, smaller},
        testing::socket::article,
    };

    #[test]
    fn the_answer_comes_first_and_every_line_fits() {
        let d = Difference::of(side("a.skm", &article(896)), side("b.skm", &smaller()));
        let text = difference(&d, &Style::PLAIN);
        println!("{text}");
        assert!(text.starts_with(
            "Less excess: wmem_queued went 7,184 bytes over the limit of 8,192 before, and went"
        ));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in [
            "most over sk_sndbuf, bytes 7,184 5,184 -2,000 (-27 %)",
            "tail-append +13,456 +5,440 -8,016",
            "over their limits 1 1 the same",
        ] {
            assert!(words.contains(line), "{line} in {text}");
        }
        assert!(
            text.lines()
                .all(|l| l.chars().count() <= 100 && l.trim_end() == l)
        );
        let json = difference_json(&d).unwrap();
        assert!(json.contains(r#""outcome":"less""#) && !json.contains('\n'));
    }
}
