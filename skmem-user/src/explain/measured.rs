//! The figures behind the advice: what each fix did to a case, by kernel.
//!
//! `measured.tsv` holds them. `skmem demo --measure --timeout 1h` measures them again and prints
//! the rows of the running kernel, in the order of the file. In the VM that they come from:
//! `cargo xtask vm --kernel K --timeout 3600 -- skmem demo --measure --timeout 1h`.

use std::fmt;

use super::{
    compare::{Comparison, Run},
    numbers::grouped,
};

const TABLE: &str = include_str!("measured.tsv");

/// What is measured of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// The largest `wmem_queued - sndbuf`, in bytes.
    Excess,
    /// The largest `sk_wmem_queued`, in bytes.
    WmemQueued,
    /// The largest Send-Q, in bytes.
    SendQ,
    /// `size_goal` at the worst instant, in bytes.
    SizeGoal,
    /// Payload that the kernel took, in bytes.
    Taken,
    /// Payload by skb, in bytes.
    PayloadPerSkb,
    /// Payload by time from the first to the last record, in MB/s.
    Throughput,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The kernel's version, e.g. `6.12`.
    pub kernel: &'static str,
    /// The case of `skmem demo`.
    pub case: &'static str,
    /// What was given to `--fix`.
    pub fix: &'static str,
    /// What was measured.
    pub figure: Figure,
    /// Without the fix: a number, or [`WITHIN`].
    pub without: &'static str,
    /// With the fix.
    pub with: &'static str,
}

/// An excess of 0 or less.
pub const WITHIN: &str = "within";

impl Figure {
    const ALL: [Self; 7] = [
        Self::Excess,
        Self::WmemQueued,
        Self::SendQ,
        Self::SizeGoal,
        Self::Taken,
        Self::PayloadPerSkb,
        Self::Throughput,
    ];

    /// The name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Excess => "excess",
            Self::WmemQueued => "wmem_queued",
            Self::SendQ => "send_q",
            Self::SizeGoal => "size_goal",
            Self::Taken => "taken",
            Self::PayloadPerSkb => "payload_per_skb",
            Self::Throughput => "mb_per_s",
        }
    }

    /// The name in a sentence, with the unit.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Excess => "bytes over the limit",
            Self::WmemQueued => "wmem_queued at most",
            Self::SendQ => "Send-Q",
            Self::SizeGoal => "size_goal",
            Self::Taken => "bytes taken",
            Self::PayloadPerSkb => "payload for each skb",
            Self::Throughput => "MB/s",
        }
    }

    /// The figure of a run, as the table has it; None where the run does not have it.
    #[must_use]
    pub fn of(self, run: &Run) -> Option<String> {
        let number = match self {
            Self::Excess if run.peak_excess <= 0 => return Some(WITHIN.to_owned()),
            Self::Excess => run.peak_excess,
            Self::WmemQueued => run.peak_wmem_queued,
            Self::SendQ => run.peak_send_q,
            Self::SizeGoal => run.size_goal,
            Self::Taken => run.taken,
            Self::PayloadPerSkb => run.taken.checked_div(run.skbs_made?)?,
            // Bytes a microsecond.
            Self::Throughput => run
                .taken
                .checked_div(i64::try_from(run.took_ns / 1000).ok()?)?,
        };
        Some(number.to_string())
    }
}

/// The table.
pub fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().skip(1).filter_map(row)
}

fn row(line: &'static str) -> Option<Row> {
    let mut cells = line.split('\t');
    Some(Row {
        kernel: cells.next()?,
        case: cells.next()?,
        fix: cells.next()?,
        figure: {
            let name = cells.next()?;
            Figure::ALL.into_iter().find(|f| f.name() == name)?
        },
        without: cells.next()?,
        with: cells.next()?,
    })
}

/// The fixes of each case in the table.
#[must_use]
pub fn cases() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut cases: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows() {
        match cases.iter_mut().find(|(case, _)| *case == row.case) {
            Some((_, fixes)) if fixes.contains(&row.fix) => {}
            Some((_, fixes)) => fixes.push(row.fix),
            None => cases.push((row.case, vec![row.fix])),
        }
    }
    cases
}

/// The rows that a comparison gives, for each figure that the table has of `fix`. Each ends with a
/// newline.
#[must_use]
pub fn measured(kernel: &str, fix: &str, compared: &Comparison) -> String {
    let case = compared.scenario;
    let figures = Figure::ALL
        .into_iter()
        .filter(|figure| rows().any(|row| (row.case, row.fix, row.figure) == (case, fix, *figure)));
    let rows = figures.filter_map(|figure| {
        let (without, with) = (figure.of(&compared.without)?, figure.of(&compared.with)?);
        let name = figure.name();
        Some(format!(
            "{kernel}\t{case}\t{fix}\t{name}\t{without}\t{with}\n"
        ))
    });
    rows.collect()
}

/// A fix as it was tried on a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The case of `skmem demo`.
    pub case: &'static str,
    /// What was given to `--fix`.
    pub fix: &'static str,
    /// What else to know of it, e.g. the value that the fix sets; may be empty.
    pub note: &'static str,
    /// The figures that matter.
    pub figures: &'static [Figure],
}

impl fmt::Display for Tried {
    /// `` `skmem demo article --fix eor`, bytes over the limit, without → with: 5.10, 6.1: 7,568 →
    /// 1,024; … ``
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`skmem demo {} --fix {}`", self.case, self.fix)?;
        if !self.note.is_empty() {
            write!(f, " ({})", self.note)?;
        }
        f.write_str(", ")?;
        for (n, figure) in self.figures.iter().enumerate() {
            let head = match n {
                0 => ", without → with: ",
                _ => ": ",
            };
            write!(f, "{}{head}", figure.words())?;
            self.by_kernel(f, *figure)?;
            if n + 1 < self.figures.len() {
                f.write_str("; ")?;
            }
        }
        Ok(())
    }
}

impl Tried {
    /// `5.10, 6.1: 7,568 → 1,024; 6.12, 7.2: 7,184 → 1,408`: kernels with the same figures
    /// together.
    fn by_kernel(&self, f: &mut fmt::Formatter<'_>, figure: Figure) -> fmt::Result {
        let of = (self.case, self.fix, figure);
        let mut last = None;
        let rows = rows().filter(|row| (row.case, row.fix, row.figure) == of);
        let cells = |row: &Row| format!(": {} → {}", cell(row.without), cell(row.with));
        for row in rows {
            let same = |last: &Row| (last.without, last.with) == (row.without, row.with);
            match &last {
                Some(last) if same(last) => f.write_str(", ")?,
                Some(last) => write!(f, "{}; ", cells(last))?,
                None => {}
            }
            f.write_str(row.kernel)?;
            last = Some(row);
        }
        last.as_ref()
            .map_or(Ok(()), |last| f.write_str(&cells(last)))
    }
}

fn cell(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), grouped)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        explain::compare::Peak,
        testing::socket::{Socket, article},
        workload::{Options, find, fix::Choice},
    };

    #[test]
    fn every_line_is_a_row_and_every_row_can_be_measured_again() {
        let lines = TABLE.lines().count() - 1;
        let all: Vec<Row> = rows().collect();
        assert_eq!(all.len(), lines);
        let mut seen = HashSet::new();
        for row in &all {
            assert!(
                seen.insert((row.kernel, row.case, row.fix, row.figure.name())),
                "{row:?} twice"
            );
            for text in [row.without, row.with] {
                let within = text == WITHIN && row.figure == Figure::Excess;
                assert!(within || text.parse::<i64>().is_ok(), "{row:?}");
            }
        }
        for (case, fixes) in cases() {
            let case = find(case).unwrap();
            for fix in fixes {
                let fix: Choice = fix.parse().unwrap();
                fix.apply(case, &Options::default()).unwrap();
            }
        }
    }

    #[test]
    fn a_comparison_gives_the_rows_that_the_table_has() {
        let run = |socket: &Socket| {
            let v = socket.verdict();
            Run::of(String::new(), v.clone(), &v, Peak::default(), None)
        };
        let (before, mut after) = (run(&article(896)), run(&article(896)));
        (after.peak_excess, after.size_goal) = (-5, 5792);
        let compared = Comparison::of("article", "gso-max-segs", String::new(), before, after);
        assert_eq!(
            measured("6.12", "gso-max-segs", &compared),
            "6.12\tarticle\tgso-max-segs\texcess\t7184\twithin\n\
             6.12\tarticle\tgso-max-segs\tsize_goal\t14480\t5792\n"
        );
        assert_eq!(measured("6.12", "gso-max-size", &compared), "");
    }

    #[test]
    fn kernels_with_the_same_figures_stand_together() {
        let tried = Tried {
            case: "article",
            fix: "reader",
            note: "",
            figures: &[Figure::Excess],
        };
        assert_eq!(
            tried.to_string(),
            "`skmem demo article --fix reader`, bytes over the limit, without → with: 5.10, 6.1: \
             7,568 → within; 6.12, 7.2: 7,184 → within"
        );
    }
}
