//! A program on a terminal that is emulated: what a person would see, and keys.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    num::NonZero,
    os::fd::AsFd as _,
    process::{Child, Command, ExitStatus},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    termios::tcgetattr,
};

use crate::terminal::{size, terminal};

/// Longer than any step takes on a starved machine: the first one loads programs.
const PATIENCE: Duration = Duration::from_secs(600);

fn some(n: u16) -> NonZero<u16> {
    NonZero::new(n).unwrap()
}

/// The program and its terminal.
pub struct Driven {
    child: Child,
    keys: File,
    bytes: Receiver<Vec<u8>>,
    /// What the terminal shows.
    pub emulated: vt100::Parser,
    modes: String,
}

impl Driven {
    /// Starts it.
    pub fn start(command: &mut Command, columns: u16, rows: u16) -> Self {
        let (ours, theirs) = terminal(columns, rows);
        let modes = format!("{:?}", tcgetattr(ours.as_fd()).unwrap());
        let child = command
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(theirs.try_clone().unwrap())
            .stderr(theirs.try_clone().unwrap())
            .stdout(theirs)
            .spawn()
            .unwrap();
        // Their end is open in them too, as long as they are kept.
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let (to, bytes) = channel();
        let mut from = ours.try_clone().unwrap();
        // A program that waits for room on its terminal does not end.
        thread::spawn(move || {
            let mut part = vec![0; 1 << 16];
            while let Ok(got @ 1..) = from.read(&mut part) {
                if to.send(part[..got].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keys: ours,
            bytes,
            emulated: vt100::Parser::new(some(rows), some(columns), 0),
            modes,
        }
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.emulated.screen().contents()
    }

    /// Waits until the screen is so; gives what is on it then.
    pub fn until(&mut self, what: &str, is: impl Fn(&vt100::Screen) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        while !is(self.emulated.screen()) {
            let left = end.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.emulated.process(&bytes),
                Err(error) => panic!(
                    "not seen: {what} ({error}); on the screen:\n{}",
                    self.screen()
                ),
            }
        }
        self.screen()
    }

    /// Waits until this can be read.
    pub fn until_reads(&mut self, text: &str) -> String {
        self.until(text, |screen| screen.contents().contains(text))
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Makes the terminal another size, as its window does.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        size(&self.keys, columns, rows);
        self.emulated
            .screen_mut()
            .set_size(some(rows), some(columns));
        // It is not the program's controlling terminal, so that the kernel sends no SIGWINCH.
        self.signal(Signal::WINCH);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    /// The program has given the terminal back: its screen, its cursor and its modes.
    pub fn assert_given_back(&mut self) {
        self.until("the first screen, with a cursor", |screen| {
            !screen.alternate_screen() && !screen.hide_cursor()
        });
        // The last that is put back.
        let end = Instant::now() + PATIENCE;
        let modes = || format!("{:?}", tcgetattr(self.keys.as_fd()).unwrap());
        while modes() != self.modes && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(modes(), self.modes);
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
