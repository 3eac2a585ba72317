//! This program in another role: a command for `skmem explain -- CMD`, which goes over its limit and ends with a code
//! of its own.

use std::{
    env, io,
    net::{TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::Duration,
};

use socket2::SockRef;

/// The environment variable that asks for it.
pub const ROLE: &str = "SKMEM_TEST_SENDER";
/// How it ends.
pub const CODE: u8 = 7;

pub fn run() -> ExitCode {
    match overfill() {
        Ok(()) => ExitCode::from(CODE),
        Err(error) => {
            eprintln!("sender {}: {error}", env::args().next().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
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
    Ok(())
}
