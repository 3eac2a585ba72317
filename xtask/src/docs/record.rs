//! What skmem shows on a terminal, from real runs: a VM runs it on pseudo-terminals, on real
//! sockets, and what it writes there is drawn as SVG.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use skmem_vm_init::Job;

use super::svg::{self, Frame};
use crate::{
    paths,
    setup::Setup,
    vm::{self, MachineOptions, Vm},
};

/// What the guest runs; it names each recording as [`RECORDINGS`] do.
const SCRIPT: &str = include_str!("record.sh");

/// Columns of the terminals in [`SCRIPT`].
const COLUMNS: u16 = 100;

/// Programs that the guest runs besides: pseudo-terminals, and the sockets to look at.
const PROGRAMS: &[&str] = &["ss", "bsdutils", "socat"];

/// One run of skmem.
struct Recording {
    name: &'static str,
    /// What was typed.
    command: &'static str,
    /// Rows of its terminal in [`SCRIPT`].
    rows: u16,
    /// Whether it draws over the whole screen, and moves; else what it leaves there is shown.
    moves: bool,
}

const fn recording(name: &'static str, command: &'static str, rows: u16, moves: bool) -> Recording {
    Recording {
        name,
        command,
        rows,
        moves,
    }
}

const RECORDINGS: &[Recording] = &[
    recording("demo", "skmem demo", 40, false),
    recording("explain", "skmem explain --dport 5432", 40, false),
    recording("snapshot", "skmem snapshot --explain", 32, false),
    recording("pair", "skmem explain --pair --dport 8080 -d 5s", 24, false),
    recording("top", "skmem top", 32, true),
];

/// A picture that skmem draws itself, at the end of [`SCRIPT`].
const PLOT: &str = "plot-rx.svg";

/// A screen that stands for less is on its way to the next one.
const STANDS: Duration = Duration::from_millis(200);

/// Makes all pictures; says where they are.
pub(super) fn run(setup: &Setup, options: &MachineOptions) -> Result<Vec<PathBuf>> {
    let options = options.with_more(PROGRAMS);
    let vm = Vm::prepare(setup, &options, &[])?;
    let out = tempfile::tempdir().context("cannot create a directory")?;
    let job = Job {
        argv: ["sh", "-c", SCRIPT].map(str::to_owned).to_vec(),
        env: Vec::new(),
        send_out: true,
        terminal: None,
    };
    let done = vm::run_here(&vm, &job, Some(out.path()))?;
    ensure!(done.status == 0, "the runs failed, see above");
    let to = paths::root().join("docs/terminal");
    fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
    let write = |name: &str, svg: Vec<u8>| {
        let path = to.join(name);
        fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    let pictures = RECORDINGS.iter().map(|recording| {
        let frames = frames(recording, out.path())?;
        let svg = svg::draw(recording.command, COLUMNS, &frames);
        write(&format!("{}.svg", recording.name), svg.into())
    });
    let mut pictures = pictures.collect::<Result<Vec<PathBuf>>>()?;
    let drawn = out.path().join(PLOT);
    let drawn = fs::read(&drawn).with_context(|| format!("cannot read {}", drawn.display()))?;
    pictures.push(write(PLOT, drawn)?);
    Ok(pictures)
}

/// The screens of a recording.
fn frames(recording: &Recording, directory: &Path) -> Result<Vec<Frame>> {
    let read = |extension: &str| {
        let path = directory.join(format!("{}.{extension}", recording.name));
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (bytes, times) = (read("out")?, read("times")?);
    let times = String::from_utf8(times).context("the times are not text")?;
    let frames = played(recording, &bytes, &times)?;
    ensure!(!frames.is_empty(), "{} showed nothing", recording.name);
    Ok(frames)
}

/// Plays what `script` has logged: its first line is its own, then come the bytes; the times are
/// lines of a pause and the number of bytes after it.
fn played(recording: &Recording, bytes: &[u8], times: &str) -> Result<Vec<Frame>> {
    let begin = bytes.iter().position(|&byte| byte == b'\n');
    let mut rest = &bytes[begin.context("the log has no first line")? + 1..];
    let mut terminal = svg::terminal(recording.rows, COLUMNS)?;
    let mut frames: Vec<Frame> = Vec::new();
    for line in times.lines() {
        let entry = line.split_once(' ').and_then(|(pause, count)| {
            let pause = Duration::try_from_secs_f64(pause.parse().ok()?).ok()?;
            Some((pause, count.parse::<usize>().ok()?))
        });
        let (pause, count) = entry.with_context(|| format!("no time and length: {line:?}"))?;
        let screen = terminal.screen();
        if recording.moves && pause >= STANDS && screen.alternate_screen() {
            let frame = Frame::of(screen, pause);
            match frames.last_mut() {
                Some(last) if last.shows(&frame) => last.stands += pause,
                _ => frames.push(frame),
            }
        }
        let (now, later) = rest.split_at_checked(count).context("the log is cut off")?;
        terminal.process(now);
        rest = later;
    }
    if !recording.moves {
        frames.push(Frame::of(terminal.screen(), Duration::ZERO));
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_each_recording() {
        for Recording {
            name,
            command,
            rows,
            ..
        } in RECORDINGS
        {
            let line = format!("terminal {name} {rows} '{command}'");
            assert!(SCRIPT.contains(&line), "{line}");
        }
        assert!(SCRIPT.contains(&format!("columns={COLUMNS}\n")));
    }

    #[test]
    fn logs_are_played() {
        let still = recording("x", "x", 3, false);
        let log = b"Script started\nfirst\r\nsecond\r\n";
        let frames = played(&still, log, "0.1 7\n3.0 8\n").expect("a good log");
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].text(), ["first", "second"]);
        assert!(played(&still, log, "0.1 700\n").is_err());
        assert!(played(&still, log, "soon 7\n").is_err());
    }

    #[test]
    fn only_screens_that_stand_are_shown() {
        let moving = recording("x", "x", 2, true);
        let log = b"Script started\nout\x1b[?1049h\x1b[HA\x1b[HB\x1b[HB\x1b[?1049l";
        // "out" and the switch, A, at once B, B again, and back.
        let times = "0.5 11\n0.5 4\n0.01 4\n1.0 4\n2.0 8\n";
        let frames = played(&moving, log, times).expect("a good log");
        let shown: Vec<_> = frames.iter().map(|f| (f.text(), f.stands)).collect();
        assert_eq!(
            shown,
            [
                (vec![], Duration::from_millis(500)),
                (vec!["B".to_owned()], Duration::from_secs(3))
            ]
        );
    }
}
