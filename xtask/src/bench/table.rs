//! What `skmem bench --json` printed, as Markdown.

use std::{collections::HashMap, fmt::Write as _};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Runs a send from which on a program has a line of its own.
const OFTEN: f64 = 0.1;

/// Programs that are named with the instructions that the verifier walked.
const LARGEST: usize = 6;

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
        instructions: u32,
    },
    Event {
        step: String,
        ns_per_event: f64,
    },
    Serve(Served),
}

/// What `skmem serve` took. Times in ns, memory in bytes.
#[derive(Debug, Deserialize)]
struct Served {
    accounts: u64,
    series: u64,
    look_ns: u64,
    again_ns: u64,
    /// Not measured by an older skmem.
    rest_ns: Option<u64>,
    resident: u64,
    anonymous: u64,
    most_resident: u64,
}

/// A mode under a load.
#[derive(Debug, Deserialize)]
pub(super) struct Cost {
    pub(super) load: String,
    pub(super) write_size: u64,
    pub(super) mode: String,
    pub(super) ns_per_send: u64,
    range_ns: [u64; 2],
    pub(super) added_ns: i64,
    ratio: f64,
    bytes_per_s: u64,
    events_per_send: f64,
    lost: u64,
    pub(super) reader_ns_per_send: u64,
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

    /// The kernel, as `uname -r` prints it.
    pub(super) fn kernel(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| match line {
            Line::Machine { kernel, .. } => Some(kernel.as_str()),
            _ => None,
        })
    }

    /// Each mode under each load, in order.
    pub(super) fn costs(&self) -> impl Iterator<Item = &Cost> {
        self.lines.iter().filter_map(|line| match line {
            Line::Cost(cost) => Some(cost),
            _ => None,
        })
    }

    /// What reading an event takes, in ns, step by step.
    pub(super) fn steps(&self) -> impl Iterator<Item = (&str, f64)> {
        self.lines.iter().filter_map(|line| match line {
            Line::Event { step, ns_per_event } => Some((step.as_str(), *ns_per_event)),
            _ => None,
        })
    }

    /// What a run of each program takes in a mode, in ns, of those that run often.
    pub(super) fn runs(&self, mode: &str) -> impl Iterator<Item = (&str, u64)> {
        self.lines.iter().filter_map(move |line| match line {
            Line::Program {
                mode: of,
                program,
                runs_per_send,
                ns_per_run,
                ..
            } if of == mode && *runs_per_send >= OFTEN => Some((program.as_str(), *ns_per_run)),
            _ => None,
        })
    }

    /// How many programs the verifier walked, and how many instructions; None: nobody asked.
    pub(super) fn walked(&self) -> Option<(usize, u64)> {
        let walked = self.lines.iter().filter_map(|line| match line {
            Line::Verifier { instructions, .. } => Some(u64::from(*instructions)),
            _ => None,
        });
        let walked: Vec<u64> = walked.collect();
        (!walked.is_empty()).then(|| (walked.len(), walked.iter().sum()))
    }

    /// The tables, machine by machine.
    pub(super) fn markdown(&self) -> String {
        self.lines
            .chunk_by(|_, line| !matches!(line, Line::Machine { .. }))
            .map(section)
            .collect()
    }
}

/// What one machine came to.
fn section(lines: &[Line]) -> String {
    let mut text = String::new();
    let mut head = String::new();
    for line in lines {
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
                _ = write!(text, "\n#### {kernel}, {cpus} vCPU{s}, {unit}");
                if *rounds != 0 {
                    _ = write!(text, "; median of {rounds} round{r} of {sends} sends");
                }
                text.push('\n');
                continue;
            }
            Line::Cost(cost) => format!(
                "\n**{}, {} bytes a send**\n\n\
                 | mode | ns a send | range | over nothing | ratio | MB/s | events a send | lost | reader's ns a send |\n\
                 |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
                cost.load, cost.write_size
            ),
            // A table of their own each, below.
            Line::Program { .. } | Line::Verifier { .. } => continue,
            Line::Serve(_) => "\n**skmem serve**\n\n\
                 | accounts | series | ns of a scrape that looks | of one soon after | of a second without one | resident memory, MiB | its own (RssAnon) | most (VmHWM) |\n\
                 |--:|--:|--:|--:|--:|--:|--:|--:|\n"
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
    text.push_str(&programs(lines));
    text.push_str(&verifier(lines));
    text
}

/// What the kernel timed: a line a program, a column a mode. Programs of rare paths are left out.
fn programs(lines: &[Line]) -> String {
    let mut modes: Vec<&str> = Vec::new();
    let mut rows: Vec<(&str, &str, f64)> = Vec::new();
    let mut cells: HashMap<(&str, &str), u64> = HashMap::new();
    for line in lines {
        let Line::Program {
            mode,
            program,
            function,
            runs_per_send,
            ns_per_run,
        } = line
        else {
            continue;
        };
        if *runs_per_send < OFTEN {
            continue;
        }
        if !modes.contains(&mode.as_str()) {
            modes.push(mode);
        }
        if !rows.iter().any(|(known, ..)| known == program) {
            rows.push((program, function, *runs_per_send));
        }
        cells.insert((program, mode), *ns_per_run);
    }
    if rows.is_empty() {
        return String::new();
    }
    let mut text = "\n**Programs**: ns a run (`bpf_stats_enabled`, which adds to each run; 1,024 bytes in lockstep)\n\n\
                    | program | on | runs a send |"
        .to_owned();
    for mode in &modes {
        _ = write!(text, " {mode} |");
    }
    _ = writeln!(text, "\n|---|---|--:|{}", "--:|".repeat(modes.len()));
    for (program, function, runs) in rows {
        _ = write!(text, "| {program} | `{function}` | {runs:.2} |");
        for mode in &modes {
            let ns = cells.get(&(program, *mode));
            _ = write!(text, " {} |", ns.map_or("–".into(), |ns| grouped(*ns)));
        }
        text.push('\n');
    }
    text
}

/// What the verifier walked, in all and of those that it walks most of.
fn verifier(lines: &[Line]) -> String {
    let mut walked: Vec<(&str, u64)> = Vec::new();
    for line in lines {
        if let Line::Verifier {
            program,
            instructions,
        } = line
        {
            walked.push((program, u64::from(*instructions)));
        }
    }
    if walked.is_empty() {
        return String::new();
    }
    walked.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let all: u64 = walked.iter().map(|(_, n)| n).sum();
    let most: Vec<String> = walked
        .iter()
        .take(LARGEST)
        .map(|(program, n)| format!("{program} {}", grouped(*n)))
        .collect();
    format!(
        "\n**Verifier**: {} instructions walked for {} programs; the most for {}.\n",
        grouped(all),
        walked.len(),
        most.join(", ")
    )
}

/// `page` with a kernel's tables in their place: between `<!-- measured KERNEL -->` and `<!-- end
/// -->`.
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
        Line::Machine { .. } | Line::Program { .. } | Line::Verifier { .. } => String::new(),
        Line::Cost(c) => format!(
            "| {} | {} | {}–{} | {} | {:.3} | {:.1} | {:.2} | {} | {} |\n",
            c.mode,
            grouped(c.ns_per_send),
            grouped(c.range_ns[0]),
            grouped(c.range_ns[1]),
            signed(c.added_ns),
            c.ratio,
            c.bytes_per_s as f64 / 1e6,
            c.events_per_send,
            grouped(c.lost),
            grouped(c.reader_ns_per_send),
        ),
        Line::Serve(served) => {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            format!(
                "| {} | {} | {} | {} | {} | {:.1} | {:.1} | {:.1} |\n",
                grouped(served.accounts),
                grouped(served.series),
                grouped(served.look_ns),
                grouped(served.again_ns),
                served.rest_ns.map_or("–".into(), grouped),
                mib(served.resident),
                mib(served.anonymous),
                mib(served.most_resident),
            )
        }
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
pub(super) fn grouped(n: u64) -> String {
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
{"kind":"program","mode":"empty","program":"ack_exit","function":"tcp_ack","runs_per_send":2.0,"ns_per_run":80}
{"kind":"program","mode":"traced","program":"ack_entry","function":"tcp_ack","runs_per_send":2.0,"ns_per_run":1235}
{"kind":"program","mode":"traced","program":"ack_exit","function":"tcp_ack","runs_per_send":2.0,"ns_per_run":648}
{"kind":"program","mode":"traced","program":"destroy","function":"tcp_destroy_sock","runs_per_send":0.001,"ns_per_run":577}
{"kind":"verifier","program":"ack_exit","function":"tcp_ack","instructions":1234567}
{"kind":"verifier","program":"ack_entry","function":"tcp_ack","instructions":2000000}
{"kind":"machine","kernel":"6.12.1","cpus":2,"rounds":1,"sends":1000}
"#;

    #[test]
    fn a_table_a_load() {
        let text = Results::read(SAMPLE.to_owned()).unwrap().markdown();
        assert_eq!(text.matches("**lockstep, 1024 bytes a send**").count(), 1);
        assert!(
            text.contains(
                "| traced | 26,040 | 26,000–26,100 | +7,977 | 1.442 | 39.3 | 2.21 | 0 | 2,000 |"
            ),
            "{text}"
        );
        assert!(
            text.contains("1 vCPU, -icount: 1 ns is 1 instruction"),
            "{text}"
        );
    }

    #[test]
    fn a_line_a_program_and_a_column_a_mode() {
        let text = Results::read(SAMPLE.to_owned()).unwrap().markdown();
        let table = "| program | on | runs a send | empty | traced |\n|---|---|--:|--:|--:|\n\
                     | ack_exit | `tcp_ack` | 2.00 | 80 | 648 |\n\
                     | ack_entry | `tcp_ack` | 2.00 | – | 1,235 |\n\n";
        assert!(text.contains(table), "{text}");
        let verifier = "3,234,567 instructions walked for 2 programs; the most for ack_entry 2,000,000, ack_exit";
        assert!(text.contains(verifier), "{text}");
        assert!(text.ends_with("1 round of 1000 sends\n"), "{text}");
    }

    #[test]
    fn what_serve_takes_is_a_table() {
        let lines = r#"{"kind":"machine","kernel":"6.12.1","cpus":1,"rounds":0,"sends":0}
{"kind":"serve","accounts":10001,"series":1990,"look_ns":40000000,"again_ns":900000,"rest_ns":3000000,"resident":31457280,"anonymous":20971520,"most_resident":33554432}
"#;
        let text = Results::read(lines.to_owned()).unwrap().markdown();
        let row = "| 10,001 | 1,990 | 40,000,000 | 900,000 | 3,000,000 | 30.0 | 20.0 | 32.0 |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("1 ns is 1 instruction\n"), "{text}");
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
