//! `cargo xtask fuzz`: the decoders of bytes from outside, as programs of libFuzzer with
//! `AddressSanitizer`.
//!
//! The pinned stable toolchain has all that it takes: the sanitizer's runtime, and with
//! `RUSTC_BOOTSTRAP=1` the flags. What libFuzzer learns stays in `target/fuzz/corpus`, so that the
//! next run goes on where this one ended.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use clap::Args;

use crate::{
    arch::Arch,
    error, paths, process,
    progress::Step,
    rust,
    setup::{CARGO_FUZZ, Setup},
};

/// Options of `cargo xtask fuzz`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 where nothing was found, 1 where an input makes a decoder panic, hang, touch foreign memory or take \
                  too much of it: its path is printed. Mended, it belongs into fuzz/seeds/TARGET, which the tests read.\n\n\
                  Examples:\n  \
                  cargo xtask fuzz                      all targets, a minute each\n  \
                  cargo xtask fuzz recording --time 8h  one of them over night"
)]
pub(crate) struct Options {
    /// Decoders to fuzz [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long to fuzz each: seconds, or with a suffix s, m or h
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    time: Duration,
    /// Name the targets, and do nothing
    #[arg(long, conflicts_with = "targets")]
    list: bool,
}

/// The sanitizers run on this one, and not on the guest's.
fn triple() -> String {
    format!("{}-unknown-linux-gnu", Arch::host().name)
}

/// Seconds that an input may take; recordings are explained, with checks and sanitizer.
const SLOWEST: u32 = 20;

/// What a target came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    runs: u64,
    /// Edges of the program that were reached.
    coverage: u64,
    /// Inputs that reached something new.
    new: u64,
    /// The input that breaks it.
    found: Option<String>,
}

impl Report {
    /// Takes in a line of libFuzzer.
    fn read(&mut self, line: &str) {
        let number = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok();
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.found = Some(path.trim().to_owned());
        } else if let Some(rest) = line.strip_prefix("stat::number_of_executed_units:") {
            self.runs = number(rest).unwrap_or(self.runs);
        } else if let Some(rest) = line.strip_prefix("stat::new_units_added:") {
            self.new = number(rest).unwrap_or(self.new);
        } else if line.starts_with('#')
            && let Some((_, rest)) = line.split_once(" cov: ")
        {
            self.coverage = number(rest).unwrap_or(self.coverage);
        }
    }
}

/// Fuzzes one target after the other; the code is 1 when something was found.
pub(crate) fn run(setup: &Setup, options: &Options) -> Result<u8> {
    let all = names(&paths::root().join("fuzz/fuzz_targets"))?;
    if options.list {
        return print(&(all.join("\n") + "\n")).map(|()| 0);
    }
    if let Some(unknown) = options.targets.iter().find(|name| !all.contains(name)) {
        return Err(error::usage(format!(
            "there is no target {unknown}: {}",
            all.join(", ")
        )));
    }
    let chosen = if options.targets.is_empty() {
        &all
    } else {
        &options.targets
    };
    setup.build_tools(Arch::host())?;
    let cargo_fuzz = setup.program(&CARGO_FUZZ)?;
    build(&cargo_fuzz)?;
    print(&format!(
        "{:<18} {:>12} {:>9} {:>8} {:>8}\n",
        "", "runs", "coverage", "new", "crashes"
    ))?;
    let mut found = Vec::new();
    for name in chosen {
        let report = fuzz(name, options.time)?;
        print(&format!(
            "{name:<18} {:>12} {:>9} {:>8} {:>8}\n",
            report.runs,
            report.coverage,
            report.new,
            u8::from(report.found.is_some())
        ))?;
        found.extend(report.found.map(|input| (name, input)));
    }
    for (name, input) in &found {
        let input = paths::shown(Path::new(input));
        print(&format!(
            "{name} breaks on {input}; once more: {} {input}\n",
            paths::shown(&program(name))
        ))?;
    }
    Ok(u8::from(!found.is_empty()))
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("cannot write to stdout")
}

/// The targets: a file each.
fn names(directory: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_suffix(".rs").map(str::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}

fn directory() -> PathBuf {
    paths::root().join("target/fuzz")
}

fn program(name: &str) -> PathBuf {
    directory().join(triple()).join("release").join(name)
}

/// All targets at once: what takes long is the library.
fn build(cargo_fuzz: &Path) -> Result<()> {
    let manifest = paths::root().join("fuzz/Cargo.toml");
    // cargo-fuzz does not pass `--locked` on.
    let mut fetch = rust::cargo();
    fetch.args([
        "fetch",
        "--locked",
        "--target",
        &triple(),
        "--manifest-path",
    ]);
    process::succeed(fetch.arg(&manifest), None)?;
    let step = Step::start("fuzz targets", "building (two minutes the first time)");
    let mut build = rust::run(&cargo_fuzz.to_string_lossy());
    build
        .args(["build", "--debug-assertions", "--target", &triple()])
        .arg("--target-dir")
        .arg(directory())
        .env("RUSTC_BOOTSTRAP", "1");
    process::succeed(&mut build, Some(&step)).context("the fuzz targets do not build")?;
    step.done("built");
    Ok(())
}

fn fuzz(name: &str, time: Duration) -> Result<Report> {
    let make = |kind: &str| -> Result<PathBuf> {
        let path = directory().join(kind).join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    };
    let (corpus, artifacts) = (make("corpus")?, make("artifacts")?);
    let step = Step::start(format!("fuzz {name}"), &format!("{} s", time.as_secs()));
    let mut command = Command::new(program(name));
    command
        .arg(format!("-max_total_time={}", time.as_secs().max(1)))
        .arg(format!("-timeout={SLOWEST}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        // A leak is not a fault of a decoder, and looking for it needs ptrace.
        .arg("-detect_leaks=0")
        .arg(corpus)
        .args(seeds(name))
        .current_dir(paths::root())
        .env("ASAN_OPTIONS", "detect_odr_violation=0");
    let mut report = Report::default();
    let captured = process::capture_lines(&mut command, |line| {
        report.read(line);
        step.output(line);
    })?;
    process::check_interrupted()?;
    if captured.status.success() {
        step.done("ended");
        return Ok(report);
    }
    step.suspend(|| eprint!("{}", excerpt(&captured.stderr)));
    drop(step);
    if report.found.is_none() {
        return Err(anyhow!(
            "the fuzz target {name} ended with {} and left no input, see above",
            captured.status
        ));
    }
    Ok(report)
}

/// Good input: directories, of which libFuzzer only reads.
fn seeds(name: &str) -> Vec<PathBuf> {
    let beside = match name {
        "ss" => Some("skmem-user/tests/ss"),
        "recording" | "recording-mended" => Some("skmem-user/tests/recordings"),
        _ => None,
    };
    let own = format!("fuzz/seeds/{name}");
    let all = [Some(own.as_str()), beside].into_iter().flatten();
    all.map(|path| paths::root().join(path))
        .filter(|path| path.is_dir())
        .collect()
}

/// What a broken target says: the panic's message, or the sanitizer's, and what follows.
fn excerpt(stderr: &str) -> String {
    const LINES: usize = 40;
    let from = |line: &&str| line.contains("panicked at") || line.contains("ERROR: ");
    let lines: Vec<&str> = stderr.lines().collect();
    let first = lines.iter().position(from);
    let first = first.unwrap_or(lines.len().saturating_sub(LINES));
    let mut text = String::new();
    for line in lines[first..].iter().take(LINES) {
        _ = writeln!(text, "  | {line}");
    }
    text
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || "not a time such as 90, 90s, 10m or 8h".to_owned();
    let (number, unit) = match text.chars().last() {
        Some('s') => (&text[..text.len() - 1], 1),
        Some('m') => (&text[..text.len() - 1], 60),
        Some('h') => (&text[..text.len() - 1], 3600),
        _ => (text, 1),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(u64::from(number) * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says() {
        let mut report = Report::default();
        for line in [
            "INFO: Loaded 1 modules   (2 inline 8-bit counters): 2 [0x1, 0x2),",
            "#12\tINITED cov: 1234 ft: 2345 corp: 9/1b exec/s: 0 rss: 40Mb",
            "#4096\tpulse  cov: 1300 ft: 2345 corp: 9/1b lim: 4 exec/s: 2048 rss: 40Mb",
            "==7== ERROR: libFuzzer: deadly signal",
            "artifact_prefix='/t/'; Test unit written to /t/crash-0a",
            "stat::number_of_executed_units: 5000",
            "stat::new_units_added:          7",
        ] {
            report.read(line);
        }
        let expected = Report {
            runs: 5000,
            coverage: 1300,
            new: 7,
            found: Some("/t/crash-0a".into()),
        };
        assert_eq!(report, expected);
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_time("8h"), Ok(Duration::from_secs(28_800)));
        for wrong in ["", "0", "s", "-1s", "1.5h", "5d", "é"] {
            assert!(parse_time(wrong).is_err(), "{wrong:?}");
        }
    }
}
