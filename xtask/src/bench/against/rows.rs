//! The table of ratios: what a figure is now, what it was, and what it is to be.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::{super::table::grouped, Part};

/// A figure, now and then.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) part: Part,
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) now: f64,
    /// Which figure of that time, where it has another name.
    then_what: Option<String>,
    /// None: there was none.
    then: Option<f64>,
    /// Now to then.
    ratio: Option<f64>,
    goal: Option<Goal>,
}

/// What a figure is to be, at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Goal {
    /// To what it was.
    Ratio(f64),
    /// By itself.
    Most(f64),
}

impl Row {
    pub(super) fn new(part: Part, what: impl Into<String>, unit: &'static str, now: f64) -> Self {
        Self {
            part,
            what: what.into(),
            unit,
            now,
            then_what: None,
            then: None,
            ratio: None,
            goal: None,
        }
    }

    pub(super) fn then(self, then: Option<f64>) -> Self {
        let ratio = then.filter(|then| *then > 0.0).map(|then| self.now / then);
        Self {
            then,
            ratio,
            ..self
        }
    }

    /// Held against a figure that went by another name.
    pub(super) fn instead_of(self, then_what: Option<String>) -> Self {
        Self { then_what, ..self }
    }

    pub(super) fn goal(self, goal: Option<Goal>) -> Self {
        Self { goal, ..self }
    }

    fn line(&self, commit: &str) -> String {
        let what = match &self.then_what {
            Some(name) => format!("{}; then: {name}", self.what),
            None => self.what.clone(),
        };
        let then = self.then.map_or(format!("not in {commit}"), number);
        let ratio = self.ratio.map_or("–".to_owned(), |r| format!("{r:.2} ×"));
        let goal = match self.goal {
            None => String::new(),
            Some(Goal::Ratio(most)) => format!("{most} ×"),
            Some(Goal::Most(most)) => format!("≤ {most}"),
        };
        let now = number(self.now);
        format!(
            "| {} | {what} | {} | {now} | {then} | {ratio} | {goal} |\n",
            self.part.name(),
            self.unit
        )
    }
}

/// Two tables: first what has a goal.
pub(super) fn markdown(commit: &str, kernel: &str, rows: &[Row]) -> String {
    let mut text = format!("\n#### {kernel}: against {commit}\n");
    let (goals, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.goal.is_some());
    for (title, rows) in [("What has a goal", goals), ("The rest", others)] {
        if rows.is_empty() {
            continue;
        }
        _ = write!(
            text,
            "\n**{title}**\n\n| part | what | unit | now | {commit} | ratio | goal |\n\
             |---|---|---|--:|--:|--:|--:|\n"
        );
        for row in rows {
            text += &row.line(commit);
        }
    }
    text
}

/// The same as JSON: an object a row, one a line.
pub(super) fn json(commit: &str, kernel: &str, rows: &[Row]) -> Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        against: &'a str,
        kernel: &'a str,
        #[serde(flatten)]
        row: &'a Row,
    }
    let mut text = String::new();
    for row in rows {
        let line = Line {
            against: commit,
            kernel,
            row,
        };
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    Ok(text)
}

/// As many digits as tell something.
fn number(n: f64) -> String {
    let sign = if n < 0.0 { "-" } else { "" };
    match n.abs() {
        n if n < 10.0 => format!("{sign}{n:.3}"),
        n if n < 100.0 => format!("{sign}{n:.1}"),
        n => format!("{sign}{}", grouped(n.round() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [Row; 3] {
        [
            Row::new(Part::Host, "decode", "instructions an event", 229.0).then(Some(229.0)),
            Row::new(
                Part::Accounts,
                "accounts, lean set",
                "instructions a send",
                2500.0,
            )
            .instead_of(Some("accounts without records".into()))
            .then(Some(5000.0))
            .goal(Some(Goal::Ratio(0.5))),
            Row::new(Part::Snapshot, "to `ss -tam`", "×", 0.594)
                .then(None)
                .goal(Some(Goal::Most(1.0))),
        ]
    }

    #[test]
    fn what_has_a_goal_comes_first() {
        let text = markdown("abc", "6.12.1", &rows());
        let table = "**What has a goal**\n\n\
            | part | what | unit | now | abc | ratio | goal |\n\
            |---|---|---|--:|--:|--:|--:|\n\
            | accounts | accounts, lean set; then: accounts without records | instructions a send | 2,500 | 5,000 | 0.50 × | 0.5 × |\n\
            | snapshot | to `ss -tam` | × | 0.594 | not in abc | – | ≤ 1 |\n\
            \n**The rest**\n";
        assert!(text.contains(table), "{text}");
        let last = "| host | decode | instructions an event | 229 | 229 | 1.00 × |  |\n";
        assert!(text.ends_with(last), "{text}");
        assert!(!markdown("abc", "6.12.1", &rows()[..1]).contains("goal**"));
    }

    #[test]
    fn a_line_of_json_a_row() {
        let lines = json("abc", "6.12.1", &rows()).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 3);
        let second = r#"{"against":"abc","kernel":"6.12.1","part":"accounts","what":"accounts, lean set","unit":"instructions a send","now":2500.0,"then_what":"accounts without records","then":5000.0,"ratio":0.5,"goal":{"ratio":0.5}}"#;
        assert_eq!(lines[1], second);
        assert!(lines[2].contains(r#""then":null,"ratio":null,"goal":{"most":1.0}"#));
    }

    #[test]
    fn nothing_is_no_ratio() {
        let row = Row::new(Part::Start, "x", "s", 1.0).then(Some(0.0));
        assert_eq!((row.then, row.ratio), (Some(0.0), None));
    }

    #[test]
    fn digits_that_tell_something() {
        let shown = [1.012, 20.25, 229.4, -1234.6, 0.0].map(number);
        assert_eq!(shown, ["1.012", "20.2", "229", "-1,235", "0.000"]);
    }
}
