//! This program in another role: a command for `skmem explain -- CMD`, which goes over its limit
//! and ends with a code of its own when its stdin does; or one for `skmem record -- CMD`, which
//! sends as fast as it can; or one that sends now and then; or those of [`churn`], [`ring`] and
//! [`standing`].

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, set_parent_process_death_signal};
use socket2::SockRef;

use crate::{churn, programs::ring, standing};

/// The environment variable that asks for it: [`OVERFILL`], [`BULK`], [`TRICKLE`], [`CHURN`] or
/// [`BURSTS`], or those of [`ring`].
pub const ROLE: &str = "SKMEM_TEST_SENDER";
/// Go over the limit.
pub const OVERFILL: &str = "1";
/// The environment variable that names a file, which is made when it has gone over the limit.
pub const FULL: &str = "SKMEM_TEST_FULL";
/// Send for a number of seconds: `bulk:5`.
pub const BULK: &str = "bulk:";
/// Send a little every 10 ms, for a number of seconds at most: it leaves the processor to others.
pub const TRICKLE: &str = "trickle:";
/// The environment variable that names a file: once there is one, [`BULK`] ends early.
pub const UNTIL: &str = "SKMEM_TEST_UNTIL";
/// Open and close connections: `churn:3000,20s`, see [`churn::run`].
pub const CHURN: &str = "churn:";
/// Open and close connections now and then, see [`churn::bursts`].
pub const BURSTS: &str = "bursts";
/// Writes between two looks for that file.
const WRITES: u64 = 64;
/// How it ends.
pub const CODE: u8 = 7;

pub fn run() -> ExitCode {
    // Some of its parents are killed, or end before it does.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let role = env::var(ROLE).unwrap_or_default();
    let played = if let Some(seconds) = role.strip_prefix(BULK) {
        bulk(seconds, Duration::ZERO)
    } else if let Some(seconds) = role.strip_prefix(TRICKLE) {
        bulk(seconds, Duration::from_millis(10))
    } else if let Some(how) = role.strip_prefix(CHURN) {
        churn::run(how)
    } else if let Some(port) = role.strip_prefix(ring::ZEROCOPY) {
        ring::zerocopy(port)
    } else if let Some(port) = role.strip_prefix(ring::WORKER) {
        ring::worker(port)
    } else if let Some(file) = role.strip_prefix(standing::STANDING) {
        standing::run(file)
    } else if role == BURSTS {
        churn::bursts()
    } else {
        overfill()
    };
    match played {
        Ok(()) => ExitCode::from(CODE),
        Err(error) => {
            eprintln!("sender {}: {error}", env::args().next().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// Writes to a peer that reads all of it, with pauses.
fn bulk(seconds: &str, pause: Duration) -> io::Result<()> {
    let time = Duration::from_secs(seconds.parse().map_err(io::Error::other)?);
    let until = env::var_os(UNTIL).map(PathBuf::from);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    thread::spawn(move || {
        let mut room = vec![0; 64 << 10];
        while server.read(&mut room).is_ok_and(|n| n > 0) {}
    });
    let payload = vec![b'b'; 4096];
    let started = Instant::now();
    for n in 1_u64.. {
        client.write_all(&payload)?;
        let asked = || until.as_ref().is_some_and(|file| file.exists());
        if started.elapsed() >= time || n.is_multiple_of(WRITES) && asked() {
            break;
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
    Ok(())
}

/// Writes to a peer that never reads until the kernel takes no more.
fn overfill() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (_server, _) = listener.accept()?;
    let client = SockRef::from(&client);
    client.set_send_buffer_size(4096)?;
    client.set_nonblocking(true)?;
    let payload = [b's'; 1024];
    let mut refusals = 0;
    while refusals < 5 {
        match client.send(&payload) {
            Ok(_) => refusals = 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                refusals += 1;
                thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(file) = env::var_os(FULL) {
        fs::write(file, "")?;
    }
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}
