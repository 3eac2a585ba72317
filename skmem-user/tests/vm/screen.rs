//! What the shipped program does on a terminal: it fits, one screen is left, and a wait is
//! announced and can be ended.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use skmem::diag::MemInfo;

use crate::{
    binary::{chatter, parsed},
    case::{SKMEM, kernel},
    check::Check,
    sender,
    terminal::terminal,
};

/// Columns and lines of the terminal.
const SIZE: (u16, u16) = (80, 24);

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("screen::trace-is-a-line-an-event", trace),
        Trial::test("screen::explain-leaves-one-screen", explain),
        Trial::test("screen::ctrl-c-while-attaching", interrupt),
        Trial::test("screen::why-says-who", why),
    ]
}

/// A program on a terminal; what its stdout and its stderr show comes from ends of their own.
struct Shown {
    child: Child,
    out: File,
    err: File,
}

impl Shown {
    fn start(command: &mut Command) -> Result<Self, Failed> {
        let (out, their_out) = terminal(SIZE.0, SIZE.1);
        let (err, their_err) = terminal(SIZE.0, SIZE.1);
        command
            .env("TERM", "linux")
            .stdin(Stdio::null())
            .stdout(their_out)
            .stderr(their_err);
        let child = command.spawn()?;
        // Their ends of the terminals: while we have them too, ours have no end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child, out, err })
    }

    /// All that it shows, on stdout and on stderr, without colours; and its exit status.
    fn end(mut self) -> Result<(String, String, Option<i32>), Failed> {
        let mut err = self.err.try_clone()?;
        let said = thread::spawn(move || all(&mut err));
        let shown = all(&mut self.out);
        let said = said.join().map_err(|_| Failed::from("a thread panicked"))?;
        Ok((shown, said, self.child.wait()?.code()))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a terminal shows until its other end is closed (EIO), without escape sequences.
fn all(terminal: &mut File) -> String {
    let mut bytes = Vec::new();
    let _ = terminal.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => while chars.next().is_some_and(|c| !c.is_ascii_alphabetic()) {},
            '\r' => {}
            c => plain.push(c),
        }
    }
    plain
}

fn fits(check: &mut Check, shown: &str) {
    for line in shown.lines() {
        check.that(line.chars().count() <= usize::from(SIZE.0), || {
            format!("wider than the terminal: {line:?}")
        });
    }
}

fn trace() -> Result<(), Failed> {
    let mut check = Check::default();
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || chatter(&stop))
    };
    let pid = std::process::id().to_string();
    let shown =
        Shown::start(Command::new(SKMEM).args(["trace", "-p", &pid, "--count", "40"]))?.end();
    stop.store(true, SeqCst);
    let talked = traffic.join();
    check.that(matches!(talked, Ok(Ok(()))), || {
        format!("our own traffic: {talked:?}")
    });
    let (shown, said, status) = shown?;
    check.equal("exit status", status, Some(0));
    check.equal("lines", shown.lines().count(), 41);
    fits(&mut check, &shown);
    for word in [
        "attaching",
        "the first event was at 20",
        "40 events printed",
    ] {
        check.that(said.contains(word), || format!("no {word:?} in {said:?}"));
    }
    let mut moved = 0;
    for line in shown.lines().skip(1).filter(|line| !line.contains('…')) {
        let number = |word: &str| word.replace([',', '~'], "").parse::<i64>().ok();
        let words: Vec<&str> = line.split_whitespace().collect();
        // Of this width there are time, hook, wmem_queued and words.
        let arrow = words.get(2).and_then(|word| word.split_once('→'));
        let arrow = arrow.and_then(|(from, to)| number(from).zip(number(to)));
        let booked = words.iter().skip(3).filter(|word| {
            let word = word.trim_start_matches('~');
            word.starts_with(['+', '-'])
        });
        let booked: i64 = booked.filter_map(|word| number(word)).sum();
        let (from, to) = arrow.unwrap_or_default();
        check.equal(format_args!("the causes of {line:?}"), booked, to - from);
        moved += usize::from(arrow.is_some());
    }
    check.that(moved > 0, || format!("nothing moved in:\n{shown}"));
    eprintln!("tests: trace on a terminal:\n{shown}");
    check.done()
}

fn explain() -> Result<(), Failed> {
    let mut check = Check::default();
    let mut command = Command::new(SKMEM);
    command
        .args(["explain", "--"])
        .arg(std::env::current_exe()?)
        .env(sender::ROLE, sender::OVERFILL);
    let (shown, said, status) = Shown::start(&mut command)?.end()?;
    check.equal("exit status", status, Some(sender::CODE.into()));
    // A line is left for the prompt.
    check.that(shown.lines().count() < usize::from(SIZE.1), || {
        format!("{} lines", shown.lines().count())
    });
    fits(&mut check, &shown);
    for word in [
        "SO_SNDBUF of 4,096",
        "\naccount   ",
        "unattributed 0",
        "\ndo first  ",
        "--full",
        " UTC",
    ] {
        check.that(shown.contains(word), || format!("no {word:?} in:\n{shown}"));
    }
    check.that(said.contains("attaching: "), || {
        format!("no progress: {said:?}")
    });
    // Each function that was hooked takes a tenth of a second there; on 5.10 all of them share one
    // `ftrace_ops`.
    if ((6, 0)..=(6, 12)).contains(&kernel()) {
        check.that(said.contains("detaching "), || {
            format!("no progress at the end: {said:?}")
        });
    }
    eprintln!("tests: explain on a terminal:\n{shown}");
    check.done()
}

/// A reader that does not read, asked about by the sender's port: one screen, the answer on it; and
/// as JSON.
fn why() -> Result<(), Failed> {
    let mut check = Check::default();
    let listener = TcpListener::bind("[::1]:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (_server, _) = listener.accept()?;
    socket2::SockRef::from(&client).set_send_buffer_size(65_536)?;
    let mut writer = client.try_clone()?;
    let writer = thread::spawn(move || while writer.write_all(&[b's'; 1000]).is_ok() {});
    // With the limit reached, send() sleeps.
    while MemInfo::read(client.as_fd()).is_ok_and(|mem| mem.wmem_queued < mem.sndbuf) {
        thread::sleep(Duration::from_millis(20));
    }
    let from = client.local_addr()?;
    let asked = ["why", &from.to_string(), "-d", "1s", "-n", "1"];
    let (shown, _, status) = Shown::start(Command::new(SKMEM).args(asked))?.end()?;
    check.equal("exit status", status, Some(0));
    fits(&mut check, &shown);
    check.that(shown.contains("The receiver holds the sender up"), || {
        format!("nobody is blamed in:\n{shown}")
    });
    eprintln!("tests: why on a terminal:\n{shown}");
    let output = Command::new(SKMEM).args(asked).arg("--json").output()?;
    let answer = parsed("why", &output.stdout)?;
    check.equal(
        "who holds the sender up",
        answer["verdicts"][0]["blame"]["holder"].as_str(),
        Some("receiver"),
    );
    client.shutdown(Shutdown::Both)?;
    let _ = writer.join();
    let nobody = Command::new(SKMEM).args(["why", "[fd00::9]:9"]).output()?;
    check.equal(
        "exit status where nothing matches",
        nobody.status.code(),
        Some(3),
    );
    check.done()
}

fn interrupt() -> Result<(), Failed> {
    let mut check = Check::default();
    let pid = std::process::id().to_string();
    for words in [
        &["explain", "-p"][..],
        &["trace", "-p"],
        &["record", "-o", "/dev/null", "-p"],
    ] {
        let shown = Shown::start(Command::new(SKMEM).args(words).arg(&pid))?;
        // The first it says is that it attaches; from then on it answers.
        let mut first = [0; 1];
        (&shown.err).read_exact(&mut first)?;
        kill_process(Pid::from_child(&shown.child), Signal::INT)?;
        let (out, said, status) = shown.end()?;
        let what = words[0];
        check.equal(format_args!("{what}: exit status"), status, Some(130));
        check.that(said.contains("nothing was traced"), || {
            format!("{what}: {said:?}")
        });
        check.that(out.is_empty(), || format!("{what}: {out:?}"));
    }
    check.done()
}
