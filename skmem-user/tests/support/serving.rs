//! A `skmem serve` that runs beside the test, and requests to it.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    ops::Deref,
    process::{Child, Command, ExitStatus, Stdio},
};

/// The server; it does not outlive the test.
pub struct Serving {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    client: Client,
    /// What it said before.
    pub said: Vec<String>,
}

/// Asks one, also one that this test did not start.
pub struct Client {
    /// Where it listens.
    pub address: String,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names are in lower case.
    pub head: String,
    pub body: String,
}

impl Serving {
    /// Starts it on a free port, and waits until it serves.
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        Self::start_at(program, "127.0.0.1:0", arguments)
    }

    /// The same at this address.
    pub fn start_at(program: &str, listen: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(["serve", "--listen", listen])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut serving = Self {
            child,
            stderr,
            client: Client {
                address: String::new(),
            },
            said: Vec::new(),
        };
        loop {
            let mut line = String::new();
            let read = serving.stderr.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "skmem serve ended: {:?}", serving.said);
            let address = line.split_once("serving http://").map(|(_, at)| at);
            if let Some((address, _)) = address.and_then(|at| at.split_once('/')) {
                address.clone_into(&mut serving.client.address);
                return serving;
            }
            serving.said.push(line);
        }
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Its end by a signal; what it said since it serves.
    pub fn ended(mut self, signal: rustix::process::Signal) -> (ExitStatus, String) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap(), text)
    }
}

impl Deref for Serving {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    /// Sends the head of a request, or a part of one.
    pub fn connect(&self, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    /// `headers` are lines that end in `\r\n`.
    pub fn get_with(&self, path: &str, headers: &str) -> Answer {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: skmem\r\n{headers}\r\n"
        ))
    }

    pub fn send(&self, request: &str) -> Answer {
        Answer::read(self.connect(request)).unwrap()
    }
}

impl Answer {
    /// Reads it to its end.
    pub fn read(mut stream: TcpStream) -> io::Result<Self> {
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|n| n.parse().ok());
        Ok(Self {
            status: status.unwrap_or(0),
            head: head.to_lowercase(),
            body: body.to_owned(),
        })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
