//! What `skmem bench --json` printed, as Markdown.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// What one kernel came to.
pub(super) struct Results {
    /// As skmem printed it: an object a line.
    pub(super) json: String,
    lines: Vec<Line>,
}

/// A line; see `skmem-user/src/cli/bench/report.rs`. What is not shown here is not read.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Machine {
        kernel: String,
        cpus: u32,
        rounds: u32,
        sends: u32,
    },
    Cost(Cost),
    Program {
        mode: String,
        program: String,
        function: String,
        runs_per_send: f64,
        ns_per_run: u64,
    },
    Verifier {
        program: String,
        function: String,
        instructions: u32,
    },
    Event {
        step: String,
        ns_per_event: f64,
    },
}

#[derive(Debug, Deserialize)]
struct Cost {
    load: String,
    write_size: u64,
    mode: String,
    ns_per_send: u64,
    range_ns: [u64; 2],
    added_ns: i64,
    ratio: f64,
    ns_per_mb: u64,
    sends_per_s: u64,
    bytes_per_s: u64,
    events_per_send: f64,
    lost: u64,
    reader_ns_per_send: u64,
}

impl Results {
    /// Reads the lines.
    pub(super) fn read(json: String) -> Result<Self> {
        let lines: Vec<Line> = json
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("skmem's {line:?}")))
            .collect::<Result<_>>()?;
        if !matches!(lines.first(), Some(Line::Machine { .. })) {
            bail!("skmem bench did not say what it ran on");
        }
        Ok(Self { json, lines })
    }

    /// The tables.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        let mut head = String::new();
        for line in &self.lines {
            let wanted = match line {
                Line::Machine {
                    kernel,
                    cpus,
                    rounds,
                    sends,
                } => {
                    let unit = if *cpus == 1 {
                        "-icount: 1 ns is 1 instruction"
                    } else {
                        "ordinary clock, software emulation"
                    };
                    let (s, r) = (plural(*cpus), plural(*rounds));
                    _ = write!(
                        text,
                        "\n#### {kernel}, {cpus} vCPU{s}, {unit}; median of {rounds} round{r} of {sends} sends\n"
                    );
                    head.clear();
                    continue;
                }
                Line::Cost(cost) => format!(
                    "\n**{}, {} bytes a send**\n\n\
                     | mode | ns a send | range | over nothing | ratio | ns a MB | sends/s | MB/s | events a send | lost | reader's ns a send |\n\
                     |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
                    cost.load, cost.write_size
                ),
                Line::Program { mode, .. } => format!(
                    "\n**Programs: {mode}** (`bpf_stats_enabled`, which adds to each run; 1,024 bytes in lockstep)\n\n\
                     | program | on | runs a send | ns a run |\n|---|---|--:|--:|\n"
                ),
                Line::Verifier { .. } => "\n**Verifier**\n\n\
                     | program | on | instructions walked |\n|---|---|--:|\n"
                    .to_owned(),
                Line::Event { .. } => "\n**Reading side**\n\n\
                     | step | ns an event |\n|---|--:|\n"
                    .to_owned(),
            };
            if head != wanted {
                text.push_str(&wanted);
                head = wanted;
            }
            text.push_str(&row(line));
        }
        text
    }
}

/// `page` with a kernel's tables in their place: between `<!-- measured KERNEL -->` and `<!-- end -->`.
pub(super) fn inserted(page: &str, kernel: &str, tables: &str) -> Result<String> {
    let mark = format!("<!-- measured {kernel} -->\n");
    let parts = page.split_once(&mark).and_then(|(before, rest)| {
        let end = rest.find("<!-- end -->")?;
        Some((before, &rest[end..]))
    });
    let Some((before, after)) = parts else {
        bail!(
            "docs/cost.md has no place for kernel {kernel}: add a line {} and a line <!-- end -->",
            mark.trim()
        );
    };
    Ok(format!("{before}{mark}{tables}\n{after}"))
}

fn row(line: &Line) -> String {
    match line {
        Line::Machine { .. } => String::new(),
        Line::Cost(c) => format!(
            "| {} | {} | {}–{} | {} | {:.3} | {} | {} | {:.1} | {:.2} | {} | {} |\n",
            c.mode,
            grouped(c.ns_per_send),
            grouped(c.range_ns[0]),
            grouped(c.range_ns[1]),
            signed(c.added_ns),
            c.ratio,
            grouped(c.ns_per_mb),
            grouped(c.sends_per_s),
            c.bytes_per_s as f64 / 1e6,
            c.events_per_send,
            grouped(c.lost),
            grouped(c.reader_ns_per_send),
        ),
        Line::Program {
            program,
            function,
            runs_per_send,
            ns_per_run,
            ..
        } => format!(
            "| {program} | `{function}` | {runs_per_send:.2} | {} |\n",
            grouped(*ns_per_run)
        ),
        Line::Verifier {
            program,
            function,
            instructions,
        } => format!(
            "| {program} | `{function}` | {} |\n",
            grouped(u64::from(*instructions))
        ),
        Line::Event { step, ns_per_event } => format!("| {step} | {ns_per_event:.0} |\n"),
    }
}

fn plural(n: u32) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn signed(n: i64) -> String {
    match n {
        0 => "0".to_owned(),
        n if n < 0 => format!("-{}", grouped(n.unsigned_abs())),
        n => format!("+{}", grouped(n.unsigned_abs())),
    }
}

/// 1234567 as 1,234,567.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{"kind":"machine","kernel":"6.12.1","cpus":1,"rounds":3,"sends":1000}
{"kind":"cost","load":"lockstep","write_size":1024,"mode":"nothing attached","ns_per_send":18063,"range_ns":[18060,18070],"added_ns":0,"ratio":1.0,"ns_per_mb":17639648,"sends_per_s":55362,"bytes_per_s":56690688,"events_per_send":0.0,"lost":0,"reader_ns_per_send":0}
{"kind":"cost","load":"lockstep","write_size":1024,"mode":"traced","ns_per_send":26040,"range_ns":[26000,26100],"added_ns":7977,"ratio":1.4416,"ns_per_mb":25429688,"sends_per_s":38402,"bytes_per_s":39323648,"events_per_send":2.21,"lost":0,"reader_ns_per_send":2000}
{"kind":"verifier","program":"ack_exit","function":"tcp_ack","instructions":1234567}
"#;

    #[test]
    fn a_table_a_load() {
        let text = Results::read(SAMPLE.to_owned()).unwrap().markdown();
        assert_eq!(text.matches("**lockstep, 1024 bytes a send**").count(), 1);
        assert!(text.contains("| traced | 26,040 | 26,000–26,100 | +7,977 | 1.442 | 25,429,688 | 38,402 | 39.3 | 2.21 | 0 | 2,000 |"), "{text}");
        assert!(
            text.contains("| ack_exit | `tcp_ack` | 1,234,567 |"),
            "{text}"
        );
        assert!(
            text.contains("1 vCPU, -icount: 1 ns is 1 instruction"),
            "{text}"
        );
    }

    #[test]
    fn tables_replace_those_of_their_kernel_only() {
        let page = "a\n<!-- measured 6.1 -->\nold\n<!-- end -->\nb\n<!-- measured 6.12 -->\nolder\n<!-- end -->\nc\n";
        let new = inserted(page, "6.12", "new\n").unwrap();
        assert_eq!(
            new,
            "a\n<!-- measured 6.1 -->\nold\n<!-- end -->\nb\n<!-- measured 6.12 -->\nnew\n\n<!-- end -->\nc\n"
        );
        assert_eq!(inserted(&new, "6.12", "new\n").unwrap(), new);
        assert!(inserted(page, "7.2", "new").is_err());
    }

    #[test]
    fn what_is_no_result_is_an_error() {
        assert!(Results::read(String::new()).is_err());
        assert!(Results::read("{\"kind\":\"other\"}\n".to_owned()).is_err());
    }

    #[test]
    fn numbers_in_groups() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(signed(-1_234_567), "-1,234,567");
    }
}
