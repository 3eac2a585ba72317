//! `skmem top` with causes, on a terminal: its frame beside `SO_MEMINFO` and `skmem explain` of the
//! same moment.

use std::{
    fs,
    io::Write as _,
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::Command,
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use rustix::process::Signal;
use serde_json::Value;
use skmem::{diag::MemInfo, explain::numbers::grouped, render::snapshot::short};

use crate::{
    binary::{contract, parsed},
    case::SKMEM,
    check::Check,
    driven::Driven,
    recording::{Room, about, report},
    still::stand_still,
};

/// Exports until nothing moved between the readings around one.
const TRIES: usize = 3;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("top::says-what-explain-says", says),
        Trial::test("top::exports-the-last-minutes", exports),
    ]
}

/// A sender sleeps, since its peer does not read: the row says so, and the page of the socket what
/// `explain` says.
fn says() -> Result<(), Failed> {
    let mut check = Check::default();
    let listener = TcpListener::bind("[::1]:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    socket2::SockRef::from(&client).set_send_buffer_size(65_536)?;
    let mut writer = client.try_clone()?;
    let writer = thread::spawn(move || while writer.write_all(&[b's'; 1000]).is_ok() {});
    while MemInfo::read(client.as_fd()).is_ok_and(|mem| mem.wmem_queued < mem.sndbuf) {
        thread::sleep(Duration::from_millis(20));
    }
    stand_still(&client, &server);
    let from = client.local_addr()?.port().to_string();
    let mut command = Command::new(SKMEM);
    command.args(["top", "--interval", "500ms", "--sport", &from]);
    let mut top = Driven::start(&mut command, 160, 45);
    // Asleep for more than a second: `1.2 s+`.
    let frame = top.until("a sender that sleeps, as SO_MEMINFO has it", |screen| {
        let contents = screen.contents();
        let row = contents.lines().find(|line| line.contains("peer window"));
        let Some((row, truth)) = row.zip(MemInfo::read(client.as_fd()).ok()) else {
            return false;
        };
        let words = [
            short(truth.wmem_queued.into()),
            short(truth.sndbuf.into()),
            std::process::id().to_string(),
        ];
        contents.contains(" s+") && words.iter().all(|word| row.contains(word))
    });
    top.press("\r");
    top.until_reads("The receiver holds the sender up");
    let explain = [
        "explain", "--all", "--json", "-d", "100ms", "--sport", &from,
    ];
    let output = Command::new(SKMEM).args(explain).output()?;
    let verdict = parsed("explain", &output.stdout)?;
    // Times in a sentence differ from moment to moment.
    let sentence = verdict["blame"]["sentence"].as_str().unwrap_or("none");
    let before = sentence.split(|c: char| c.is_ascii_digit()).next();
    let after = sentence.rsplit(": ").next();
    // What the bars consist of, and how high they are.
    let ledger = verdict["ledger"].as_array().into_iter().flatten();
    let most = ledger.max_by_key(|cause| cause["bytes"].as_i64());
    let most = most.and_then(|cause| cause["cause"].as_str());
    let said = [before, after, most].map(|word| word.unwrap_or("nothing"));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = top.until(&format!("{said:?}, and w"), |screen| {
        let page = words(&screen.contents());
        let w = MemInfo::read(client.as_fd()).map_or(-1, |truth| truth.wmem_queued);
        let height = format!("= w {} bytes", grouped(w.into()));
        page.contains(&height) && said.iter().all(|word| page.contains(&words(word)))
    });
    eprintln!("tests: top on a terminal:\n{frame}\n{page}");
    // On a small screen, too.
    top.resize(80, 24);
    top.until("a frame of that size", |screen| {
        let contents = screen.contents();
        contents.lines().count() == 24 && contents.contains("The receiver holds the sender up")
    });
    top.signal(Signal::TERM);
    check.equal("exit status", top.ended().code(), Some(143));
    top.assert_given_back();
    client.shutdown(Shutdown::Both)?;
    let _ = writer.join();
    check.done()
}

/// The key `e`: the calls on the socket that is chosen, none on another one that is traced too;
/// each time into a file of its own.
fn exports() -> Result<(), Failed> {
    let mut moved = String::new();
    for _ in 0..TRIES {
        let mut check = Check::default();
        let (before, after) = exported(&mut check)?;
        if before == after {
            return check.done();
        }
        moved = format!("w {before}, then {after}");
    }
    Err(format!("the queue moved in each of {TRIES} tries: {moved}").into())
}

/// Exports twice, and compares what was written with the w that was read before; gives that, and
/// what it was after.
fn exported(check: &mut Check) -> Result<(i32, i32), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = listener.local_addr()?;
    let clients = [TcpStream::connect(to)?, TcpStream::connect(to)?];
    let servers = [listener.accept()?.0, listener.accept()?.0];
    let room = Room::new("top")?;
    let mut command = Command::new(SKMEM);
    command
        .args(["top", "--flight", "1m", "--interval", "500ms", "--dport"])
        .arg(to.port().to_string())
        .current_dir(&room.0);
    let mut top = Driven::start(&mut command, 160, 40);
    top.until_reads("bytes kept for e");
    // The other one holds less.
    (&clients[1]).write_all(&[b'o'; 1000])?;
    socket2::SockRef::from(&clients[0]).set_send_buffer_size(65_536)?;
    let mut writer = clients[0].try_clone()?;
    let writer = thread::spawn(move || while writer.write_all(&[b's'; 1000]).is_ok() {});
    top.until("a sender that sleeps", |screen| {
        let contents = screen.contents();
        contents.contains("peer window") && contents.contains(" s+")
    });
    let w = || MemInfo::read(clients[0].as_fd()).map(|mem| mem.wmem_queued);
    stand_still(&clients[0], &servers[0]);
    let before = w()?;
    top.press("e");
    let said = top.until_reads("explains it");
    top.press("e");
    top.until("another file", |_| {
        fs::read_dir(&room.0).is_ok_and(|files| files.count() == 2)
    });
    let after = w()?;
    top.press("q");
    check.equal("exit status", top.ended().code(), Some(0));
    top.assert_given_back();
    let mut files = Vec::new();
    for file in fs::read_dir(&room.0)? {
        files.push(file?.path());
    }
    check.equal("files", files.len(), 2);
    let named = |file: &std::path::PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        said.contains(&*name)
    };
    check.that(files.iter().any(named), || format!("{files:?} in\n{said}"));
    for file in &files {
        let about = about(check, file)?;
        check.equal("damage", &about["damage"], &Value::Null);
        check.equal("trigger", &about["meta"]["trigger"], &"the key e".into());
        // Each write, until the sender slept.
        check.that(about["records"].as_u64() > Some(60), || about.to_string());
        let verdicts = report(check, file, &["--all", "--at-end"])?;
        check.equal("sockets", verdicts.len(), 1);
        for verdict in &verdicts {
            contract(check, verdict);
            let port = clients[0].local_addr()?.port();
            check.equal("port", &verdict["socket"]["sport"], &port.into());
            check.equal("wmem_queued", &verdict["wmem_queued"], &before.into());
            check.equal("lost", &verdict["lost_events"], &0.into());
        }
    }
    for socket in clients.iter().chain(&servers) {
        socket.shutdown(Shutdown::Both)?;
    }
    let _ = writer.join();
    Ok((before, after))
}
