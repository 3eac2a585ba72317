//! This program in the role of one whose connections come and go as fast as they can, over
//! loopback: each sends a little, some go over their limit, and they end in every way, by FIN and
//! by RST, of either side.

use std::{
    env, fs,
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::process::parent_id,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, SockRef, Socket, Type};

use crate::process;

/// Clients, and as many servers.
const THREADS: usize = 4;
/// Connections that may wait for a server: a client that found no room would ask again later and
/// later.
const BACKLOG: i32 = 4096;
/// How long sockets may take to go, with a peer that is alive.
const CLOSING: Duration = Duration::from_secs(120);
/// Printed on stderr once the first connections were made, and at the end.
pub const WARM: &str = "churn: warm ";
pub const DONE: &str = "churn: done ";

/// The environment variable that names the tracer by its pid, where that is not the parent.
pub const TRACER: &str = "SKMEM_TEST_TRACER";

/// How a connection goes: the first byte that the client sends.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Way {
    /// The client closes behind its data.
    ClientFirst,
    /// The server answers, and closes before the client does.
    ServerFirst,
    /// The client writes more than its limit at once, and closes behind it.
    OverLimit,
    /// The client throws its queue away.
    ClientReset,
    /// The server closes with data unread.
    ServerReset,
    /// The client says that it is done, and waits for the server.
    HalfClosed,
}

const WAYS: [Way; 6] = [
    Way::ClientFirst,
    Way::ServerFirst,
    Way::OverLimit,
    Way::ClientReset,
    Way::ServerReset,
    Way::HalfClosed,
];

/// How many sockets send, of a number of connections: each client, and the server of one way.
pub const fn senders(connections: u64) -> u64 {
    connections + connections / WAYS.len() as u64
}

/// Bursts of connections; between two of them there is time to collect the closed ones.
pub const BURSTS: usize = 15;
/// Connections in a burst.
pub const BURST: usize = 16;
/// Connections between two looks at whether the tracer still gets its share of the machine: it may
/// be behind by no more than twice as many.
const LEAD: u64 = 128;
/// How long to go on after the warm-up where connections are counted: the tracer's memory is read
/// once a second, on a quick machine, too.
const LEAST: Duration = Duration::from_secs(8);
/// One connection in this many may be reset where nobody asked for it: a starved kernel gives up
/// some by itself.
const RESETS: u64 = 1000;

/// Makes them, one connection after the other.
pub fn bursts() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let tracer = Tracer::new();
    for _ in 0..BURSTS {
        for _ in 0..BURST {
            let mut client = TcpStream::connect(listener.local_addr()?)?;
            let (mut server, _) = listener.accept()?;
            client.write_all(b"c")?;
            server.read_exact(&mut [0])?;
            server.write_all(b"s")?;
            client.read_exact(&mut [0])?;
        }
        // The first may be one that began before the last connection was closed, and the second
        // collects them.
        tracer.waits(3)?;
    }
    Ok(())
}

/// The process that traces this one.
struct Tracer(u32);

impl Tracer {
    /// The one that is named, else the one that started this one.
    fn new() -> Self {
        let named = env::var(TRACER).ok().and_then(|pid| pid.parse().ok());
        Self(named.unwrap_or_else(parent_id))
    }

    /// Waits until it has gone to sleep that many times more, which it does when it has done all
    /// that there was: a tracer that gets no time from the machine would only show what that comes
    /// to.
    fn waits(&self, times: u64) -> io::Result<()> {
        let started = Instant::now();
        let until = self.sleeps()? + times;
        while self.sleeps()? < until {
            if started.elapsed() > CLOSING {
                return Err(io::Error::other("the tracer never sleeps"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn sleeps(&self) -> io::Result<u64> {
        let status = process::status(self.0);
        let count = status.get("voluntary_ctxt_switches");
        let count = count.and_then(|text| text.parse().ok());
        count.ok_or_else(|| io::Error::other("the tracer has gone"))
    }
}

/// `warm-up,connections` or `warm-up,seconds`, with an `s` behind it: connections before the word
/// [`WARM`], and how long to go on after it, [`LEAST`] where connections are counted.
pub fn run(how: &str) -> io::Result<()> {
    let wrong = || io::Error::new(ErrorKind::InvalidInput, format!("{how:?}"));
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    let (warm_up, long) = how.split_once(',').ok_or_else(wrong)?;
    let warm_up = number(warm_up)?;
    let (time, least) = match long.strip_suffix('s') {
        Some(seconds) => (Duration::from_secs(number(seconds)?), 0),
        None => (LEAST, warm_up + number(long)?),
    };
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    listener.listen(BACKLOG)?;
    let listener = Arc::new(TcpListener::from(listener));
    let port = listener.local_addr()?.port();
    for _ in 0..THREADS {
        let listener = Arc::clone(&listener);
        thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                let _ = serve(connection);
            }
        });
    }
    let tracer = Arc::new(Mutex::new(Tracer::new()));
    let made = Arc::new(AtomicU64::new(0));
    let end = Arc::new(AtomicU64::new(u64::MAX));
    let resets = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let clients: Vec<_> = (0..THREADS)
        .map(|_| {
            let (made, end) = (Arc::clone(&made), Arc::clone(&end));
            let resets = Arc::clone(&resets);
            let tracer = Arc::clone(&tracer);
            thread::spawn(move || -> io::Result<()> {
                while (started.elapsed().as_millis() as u64) < end.load(Relaxed)
                    || made.load(Relaxed) < least
                {
                    let n = made.fetch_add(1, Relaxed);
                    match connection(n, port) {
                        Err(error) if is_end(&error) => {
                            eprintln!("churn: connection {n} was reset: {error}");
                            resets.fetch_add(1, Relaxed);
                        }
                        other => other?,
                    }
                    if n.is_multiple_of(LEAD) {
                        let tracer = tracer.lock();
                        tracer.unwrap_or_else(PoisonError::into_inner).waits(1)?;
                    }
                    if n == warm_up {
                        let now = started.elapsed();
                        end.store((now + time).as_millis() as u64, Relaxed);
                        eprintln!("{WARM}{n}");
                    }
                }
                Ok(())
            })
        })
        .collect();
    for client in clients {
        client
            .join()
            .map_err(|_| io::Error::other("a client panicked"))??;
    }
    let (made, resets) = (made.load(Relaxed), resets.load(Relaxed));
    if resets > made / RESETS {
        return Err(io::Error::other(format!(
            "{resets} of {made} connections were reset by nobody"
        )));
    }
    eprintln!("{DONE}{made}");
    let closing = Instant::now();
    while alive(port)? > 0 {
        if closing.elapsed() > CLOSING {
            return Err(io::Error::other(format!(
                "{} sockets do not go",
                alive(port)?
            )));
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// How many sockets of that port the kernel keeps, but for the listener and those in TIME-WAIT.
fn alive(port: u16) -> io::Result<usize> {
    let sockets = fs::read_to_string("/proc/net/tcp")?;
    let port = format!(":{port:04X}");
    let alive = sockets.lines().filter(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let ends = [fields.next(), fields.next()];
        let state = fields.next();
        ends.iter().flatten().any(|end| end.ends_with(&port)) && !matches!(state, Some("0A" | "06"))
    });
    Ok(alive.count())
}

/// One connection, from its beginning to its end.
fn connection(n: u64, port: u16) -> io::Result<()> {
    let way = WAYS[(n % WAYS.len() as u64) as usize];
    // Ports of connections in TIME-WAIT are free towards another address.
    let address = Ipv4Addr::new(127, 0, (n / 250 % 250) as u8, (n % 250) as u8 + 1);
    let mut client = TcpStream::connect(SocketAddr::from((address, port)))?;
    if way == Way::OverLimit {
        SockRef::from(&client).set_send_buffer_size(4096)?;
    }
    let talk = talk(&mut client, way);
    match talk {
        // What the server's reset comes to depends on when it arrives.
        Err(error) if way == Way::ServerReset && is_end(&error) => Ok(()),
        other => other,
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

fn talk(client: &mut TcpStream, way: Way) -> io::Result<()> {
    let mut room = [0; 8192];
    client.write_all(&[way as u8])?;
    match way {
        Way::ClientFirst | Way::ClientReset => client.write_all(&[b'c'; 1024])?,
        Way::OverLimit => client.write_all(&[b'c'; 16_384])?,
        Way::ServerReset => {
            client.write_all(&[b'c'; 4096])?;
            while client.read(&mut room)? > 0 {}
        }
        Way::HalfClosed => {
            client.write_all(&[b'c'; 1024])?;
            client.shutdown(Shutdown::Write)?;
            while client.read(&mut room)? > 0 {}
        }
        Way::ServerFirst => while client.read(&mut room)? > 0 {},
    }
    if way == Way::ClientReset {
        SockRef::from(&*client).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

fn serve(mut connection: TcpStream) -> io::Result<()> {
    let mut room = [0; 8192];
    let mut way = [0];
    connection.read_exact(&mut way)?;
    if way[0] == Way::ServerReset as u8 {
        // Some of it has to lie there.
        connection.peek(&mut room)?;
        return Ok(());
    }
    if way[0] == Way::ServerFirst as u8 {
        return connection.write_all(&[b's'; 8192]);
    }
    while connection.read(&mut room)? > 0 {}
    Ok(())
}
