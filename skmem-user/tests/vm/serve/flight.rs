//! The black box: a file for each wait that is long enough, which other commands read; not more of
//! them than asked for; nothing else in its directory is shown or touched; the page of a socket.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::{fd::AsFd as _, unix::fs::symlink},
    process::Command,
    thread,
    time::Duration,
};

use libtest_mimic::Failed;
use rustix::process::Signal;
use serde_json::Value;
use socket2::SockRef;

use super::answered;
use crate::{
    binary::{contract, parsed},
    case::SKMEM,
    check::Check,
    process::wait_for,
    serving::Serving,
};

/// Most files.
const MOST: usize = 2;
/// Waits of the sender.
const WAITS: usize = 4;

/// Names of the files, the newest first.
fn names(serving: &Serving) -> Vec<String> {
    let list = list(serving);
    let files = list["files"].as_array().into_iter().flatten();
    files
        .filter_map(|file| file["name"].as_str().map(str::to_owned))
        .collect()
}

fn list(serving: &Serving) -> Value {
    parsed("flight", &serving.get("/flight.json").body).unwrap_or_default()
}

pub(super) fn black_box() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = tempfile::tempdir()?;
    let directory = room.path().join("flight");
    let path = directory.to_str().ok_or("a path of ASCII")?;
    let most = MOST.to_string();
    let arguments = ["--flight", path, "--when", "blocked>300ms", "--last", "20s"];
    let more = ["--pause", "100ms", "--max-files", &most];
    let serving = Serving::start(SKMEM, &[&arguments[..], &more].concat());
    // Neither is one of its files.
    fs::write(directory.join("other.skm"), "other")?;
    let secret = room.path().join("secret");
    fs::write(&secret, "secret")?;
    symlink(&secret, directory.join("skmem-20200101-000000.skm"))?;

    // A sender whose peer reads when it is asked to.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    SockRef::from(&client).set_send_buffer_size(65_536)?;
    let cookie = skmem::diag::socket_cookie(client.as_fd())?;
    let ends = format!("{}>{}", client.local_addr()?, client.peer_addr()?);
    let mut writes = client.try_clone()?;
    let writer = thread::spawn(move || while writes.write_all(&[b'x'; 10_000]).is_ok() {});

    let mut seen: Vec<String> = Vec::new();
    for wait in 0..WAITS {
        let there = wait_for(|| {
            names(&serving)
                .first()
                .is_some_and(|name| !seen.contains(name))
        });
        check.that(there, || {
            format!("no file of wait {wait}: {:?}", list(&serving))
        });
        let Some(newest) = names(&serving).into_iter().next() else {
            break;
        };
        seen.push(newest);
        if wait == 0 {
            readable(&mut check, &serving, path, &seen[0], &ends)?;
            page(&mut check, &serving, cookie)?;
        }
        // The last wait lasts: what is listed from here on stays as it is.
        if wait + 1 == WAITS {
            break;
        }
        // It goes on, and waits again.
        let mut some = vec![0; 4 << 20];
        server.read_exact(&mut some)?;
        // A second of names is a file each.
        thread::sleep(Duration::from_millis(1100));
    }
    // The oldest goes after the newest is there.
    let few = wait_for(|| names(&serving).len() <= MOST);
    let left = names(&serving);
    check.that(few, || format!("{left:?}"));
    check.that(!left.contains(&seen[0]), || {
        format!("{} is still there: {left:?}", seen[0])
    });
    let on_disk = fs::read_dir(&directory)?.flatten();
    let mut on_disk: Vec<_> = on_disk.map(|entry| entry.file_name()).collect();
    on_disk.retain(|name| left.iter().all(|left| left.as_str() != name));
    on_disk.sort_unstable();
    check.equal("what else is in the directory", on_disk.len(), 2);
    for outside in [
        "/flight/other.skm",
        "/flight/skmem-20200101-000000.skm",
        "/flight/../secret",
        "/flight/..%2fsecret",
        "/flight//etc/passwd",
        "/flight/.",
    ] {
        let answer = serving.get(outside);
        check.equal(outside, answer.status, 404);
        check.that(!answer.body.contains("secret"), || answer.body.clone());
    }
    let metrics = serving.get("/metrics").body;
    let written = metrics
        .lines()
        .find_map(|line| line.strip_prefix("skmem_flight_files_written_total "));
    let written: usize = written.and_then(|n| n.parse().ok()).unwrap_or(0);
    check.that(written >= WAITS, || format!("{written} files written"));
    let html = serving.get_with("/flight/", "Accept: text/html\r\n");
    check.that(
        html.head.contains("text/html")
            && left.iter().all(|name| html.body.contains(name.as_str())),
        || html.body.clone(),
    );

    client.shutdown(Shutdown::Both)?;
    drop(server);
    let _ = writer.join();
    let (status, said) = serving.ended(Signal::TERM);
    check.that(status.success() && said.contains("blocked>300ms"), || {
        format!("{status}: {said}")
    });
    check.done()
}

/// A queue that goes over its limit, of a sender that is never asleep: the file's verdict has what
/// it went over by.
pub(super) fn excess() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = tempfile::tempdir()?;
    let path = room.path().to_str().ok_or("a path of ASCII")?;
    let arguments = ["--flight", path, "--when", "excess>4K"];
    let serving = Serving::start(SKMEM, &[&arguments[..], &["--interval", "500ms"]].concat());
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (_server, _) = listener.accept()?;
    SockRef::from(&client).set_send_buffer_size(4096)?;
    client.set_nonblocking(true)?;
    let cookie = skmem::diag::socket_cookie(client.as_fd())?;
    let ends = format!("{}>{}", client.local_addr()?, client.peer_addr()?);
    let mut refusals = 0;
    while refusals < 5 {
        match client.write(&[b'x'; 1024]) {
            Ok(_) => refusals = 0,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                refusals += 1;
                thread::sleep(Duration::from_millis(100));
            }
            Err(e) => return Err(e.into()),
        }
    }
    let there = wait_for(|| !names(&serving).is_empty());
    check.that(there, || format!("no file: {:?}", list(&serving)));
    let listed = list(&serving)["files"][0].take();
    check.equal("trigger", &listed["trigger"], &Value::from("excess>4096"));
    check.equal("sockets", &listed["sockets"], &serde_json::json!([ends]));
    let file = room.path().join(listed["name"].as_str().unwrap_or("none"));
    let report = Command::new(SKMEM)
        .args(["report", "--json", "--all"])
        .arg(&file)
        .output()?;
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    let verdict = parsed("report", text.lines().next().unwrap_or("null"))?;
    contract(&mut check, &verdict);
    let now = answered(&serving, &format!("/explain/{cookie}?format=json"), "");
    check.equal("status of /explain", now.status, 200);
    let now = parsed("explain", &now.body).unwrap_or_default();
    let worst = |verdict: &Value| verdict["worst_excess"].as_i64();
    check.that(worst(&verdict) > Some(4096), || text.clone());
    check.that(worst(&verdict) <= worst(&now), || {
        format!("{:?} in the file, {:?} since", worst(&verdict), worst(&now))
    });
    let (status, said) = serving.ended(Signal::TERM);
    check.that(status.success() && said.contains("excess>4096"), || {
        format!("{status}: {said}")
    });
    check.done()
}

/// What is not text: the answer's head, in lower case, and its body.
fn download(serving: &Serving, path: &str) -> Result<(String, Vec<u8>), Failed> {
    let mut head = Vec::new();
    let request = format!("GET {path} HTTP/1.1\r\nHost: skmem\r\n\r\n");
    serving.connect(&request).read_to_end(&mut head)?;
    let end = head.windows(4).position(|four| four == b"\r\n\r\n");
    let body = head.split_off(end.map_or(head.len(), |end| end + 4));
    Ok((String::from_utf8_lossy(&head).to_lowercase(), body))
}

/// A file is what the server hands out, and other commands read it.
fn readable(
    check: &mut Check,
    serving: &Serving,
    directory: &str,
    name: &str,
    ends: &str,
) -> Result<(), Failed> {
    let files = list(serving);
    let listed = &files["files"][0];
    check.equal("trigger", &listed["trigger"], &Value::from("blocked>300ms"));
    check.equal("sockets", &listed["sockets"], &serde_json::json!([ends]));
    let file = format!("{directory}/{name}");
    let (head, bytes) = download(serving, &format!("/flight/{name}"))?;
    check.that(
        head.contains("200 ok") && head.contains(&format!("filename=\"{name}\"")),
        || head.clone(),
    );
    check.that(bytes == fs::read(&file).unwrap_or_default(), || {
        format!("{} bytes of {name}", bytes.len())
    });
    check.equal("size", listed["bytes"].as_u64(), Some(bytes.len() as u64));
    let report = Command::new(SKMEM)
        .args(["report", "--json", "--all", &file])
        .output()?;
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    let verdicts: Vec<Value> = text
        .lines()
        .filter_map(|line| parsed("report", line).ok())
        .collect();
    check.equal("verdicts", verdicts.len(), 1);
    for verdict in &verdicts {
        contract(check, verdict);
        check.equal("asleep", &verdict["blocked"]["asleep"], &Value::from(1));
        let w: i64 = verdict["ledger"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|c| c["bytes"].as_i64())
            .sum();
        check.that(w > 65_536, || verdict.to_string());
    }
    let plot = Command::new(SKMEM)
        .args(["plot", "--text", &file])
        .output()?;
    check.that(plot.status.success() && !plot.stdout.is_empty(), || {
        format!("{plot:?}")
    });
    Ok(())
}

/// The page has the verdict's text and a plot of the same socket.
fn page(check: &mut Check, serving: &Serving, cookie: u64) -> Result<(), Failed> {
    let path = format!("/explain/{cookie}");
    let text = answered(serving, &path, "");
    check.equal("status of the text", text.status, 200);
    check.that(text.head.contains("text/plain"), || text.head.clone());
    let html = answered(serving, &path, "Accept: text/html,*/*;q=0.8\r\n");
    check.equal("status of the page", html.status, 200);
    check.that(html.head.contains("text/html"), || html.head.clone());
    let line = text.body.lines().next().unwrap_or_default();
    check.that(
        !line.is_empty() && html.body.contains(&line.replace('>', "&gt;")),
        || format!("{line:?} in\n{}", html.body),
    );
    let data = html.body.split_once("id=\"data\">").map(|(_, rest)| rest);
    let data = data.and_then(|rest| rest.split_once("</script>"));
    let data: Value = serde_json::from_str(data.map_or("", |(data, _)| data)).unwrap_or_default();
    let drawn = data["total"].as_array().map_or(0, Vec::len);
    check.that(drawn > 2, || format!("{drawn} samples"));
    Ok(())
}
