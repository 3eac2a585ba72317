//! The terminal: its other screen, keys, signals; all is put back, however skmem ends.

use std::{
    io::{BufWriter, Stdout, Write as _, stdout},
    panic,
    process::ExitCode,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use anyhow::{Context as _, Result};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        event::{self, Event, KeyEvent},
        execute, queue,
        terminal::{
            BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen,
            LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
        },
    },
};
use rustix::process::{Signal as Number, getpid, kill_process};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::top::{
    Model,
    view::{self, Theme},
};

/// The screen, until it is dropped.
pub(super) struct Screen(Terminal<CrosstermBackend<BufWriter<Stdout>>>);

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// Where stdin or stdout is not a terminal.
    pub fn enter() -> Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                restore();
                before(info);
            }));
        });
        take_over()?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(64 << 10, stdout()));
        let terminal = Terminal::new(backend).inspect_err(|_| restore())?;
        Ok(Self(terminal))
    }

    /// Draws what has changed; terminals that can (mode 2026) show it at once.
    ///
    /// # Errors
    /// Where the terminal is gone.
    pub fn draw(&mut self, model: &mut Model, theme: Theme) -> Result<()> {
        queue!(self.0.backend_mut(), BeginSynchronizedUpdate)?;
        self.0
            .draw(|frame| view::draw(frame.buffer_mut(), model, theme))?;
        execute!(self.0.backend_mut(), EndSynchronizedUpdate)?;
        Ok(())
    }

    /// Gives the terminal back, and stops until something continues skmem.
    ///
    /// # Errors
    /// Where it cannot be taken over again.
    pub fn suspend(&mut self) -> Result<()> {
        restore();
        kill_process(getpid(), Number::STOP)?;
        take_over()?;
        // All is drawn anew. `Terminal::clear` would ask the terminal where its cursor is (ratatui
        // 0.30), and the thread that reads keys would get the answer.
        let size = self.0.size()?;
        self.0.resize(size.into())?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn take_over() -> Result<()> {
    TAKEN.store(true, SeqCst);
    enable_raw_mode()
        .inspect_err(|_| TAKEN.store(false, SeqCst))
        .context("the terminal cannot be read by key")?;
    execute!(stdout(), EnterAlternateScreen, Hide)
        .inspect_err(|_| restore())
        .context("the terminal cannot be written to")
}

/// Whether the terminal is taken over.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Puts all back that [`take_over`] changed; once, for what is written later is on the screen that
/// was there before.
fn restore() {
    if !TAKEN.swap(false, SeqCst) {
        return;
    }
    let mut out = stdout();
    let _ = execute!(out, EndSynchronizedUpdate, LeaveAlternateScreen, Show);
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// Keys as they are pressed.
pub(super) struct Keys(mpsc::Receiver<std::io::Result<Option<KeyEvent>>>);

impl Keys {
    /// Begins to read. The thread ends with the program.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn read() -> Result<Self> {
        let (to, from) = mpsc::channel(64);
        thread::Builder::new().name("keys".into()).spawn(move || {
            loop {
                let key = match event::read() {
                    Ok(Event::Key(key)) if key.is_press() || key.is_repeat() => Ok(Some(key)),
                    Ok(Event::Resize(..)) => Ok(None),
                    Ok(_) => continue,
                    Err(error) => Err(error),
                };
                let failed = key.is_err();
                if to.blocking_send(key).is_err() || failed {
                    break;
                }
            }
        })?;
        Ok(Self(from))
    }

    /// The next one; `Some(None)`: none, but the terminal has another size. None: there will be
    /// none.
    ///
    /// # Errors
    /// Where keys cannot be read.
    pub async fn next(&mut self) -> std::io::Result<Option<Option<KeyEvent>>> {
        match self.0.recv().await {
            Some(key) => key.map(Some),
            None => std::future::pending().await,
        }
    }
}

/// Why skmem ends, or stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By a key.
    Asked,
    /// By this signal.
    Signal(i32),
    /// It does not end: it was asked to stop (SIGTSTP).
    Stop,
}

impl End {
    /// The exit status; Ctrl-C is an end like any other.
    pub fn status(self) -> ExitCode {
        match self {
            Self::Signal(number) if number != Number::INT.as_raw() => {
                ExitCode::from(128 + u8::try_from(number).unwrap_or(0))
            }
            _ => ExitCode::SUCCESS,
        }
    }
}

/// All signals that would end or stop a process and that it can catch; but for those of faults.
pub(super) struct Signals(Vec<(i32, Signal)>);

impl Signals {
    const ALL: [Number; 8] = [
        Number::HUP,
        Number::INT,
        Number::QUIT,
        Number::TERM,
        Number::USR1,
        Number::USR2,
        Number::ALARM,
        Number::TSTP,
    ];

    /// From now on.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn new() -> Result<Self> {
        let one = |number: &Number| {
            let number = number.as_raw();
            Ok((number, signal(SignalKind::from_raw(number))?))
        };
        Self::ALL.iter().map(one).collect::<Result<_>>().map(Self)
    }

    /// The next one.
    pub async fn next(&mut self) -> End {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(match *number {
                        n if n == Number::TSTP.as_raw() => End::Stop,
                        n => End::Signal(n),
                    });
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::IsTerminal as _,
        process::{Command, Stdio},
    };

    use super::*;

    /// What a panic on the screen does; [`a_panic_gives_the_terminal_back`] runs it on a terminal.
    #[test]
    #[ignore = "takes the terminal over"]
    #[should_panic(expected = "on purpose")]
    fn panics() {
        let screen = stdout().is_terminal().then(|| Screen::enter().unwrap());
        // While the screen is held, as it is wherever skmem top may panic.
        let _held = screen;
        panic!("on purpose");
    }

    #[test]
    fn a_panic_gives_the_terminal_back() {
        let this = std::env::current_exe().unwrap();
        let run = format!(
            "stty rows 24 cols 80; stty -g; {} --exact {}::panics --ignored --nocapture; stty -g",
            this.display(),
            module_path!().split_once("::").unwrap().1,
        );
        // `script` runs it on a terminal of its own.
        let output = Command::new("script")
            .args(["--quiet", "--command", &run, "/dev/null"])
            .env("TERM", "xterm-256color")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("test result: ok. 1 passed"), "{text}");
        let place = |what: &str| {
            text.find(what)
                .unwrap_or_else(|| panic!("no {what:?} in {text:?}"))
        };
        // The other screen is left, with its cursor, before the panic's words: else nobody reads
        // them.
        let (entered, left) = (place("\x1b[?1049h"), place("\x1b[?1049l"));
        let (cursor, words) = (place("\x1b[?25h"), place("on purpose"));
        assert!(entered < left && left < words && cursor < words, "{text:?}");
        let modes = text.lines().filter(|line| {
            let line = line.trim();
            line.contains(':') && line.bytes().all(|b| b == b':' || b.is_ascii_hexdigit())
        });
        let modes: Vec<&str> = modes.map(str::trim).collect();
        let [before, after] = modes[..] else {
            panic!("not two lines of stty -g in {text:?}");
        };
        assert_eq!(before, after);
    }
}
