//! The receive side, of the one socket that a filter leaves: its counters by cause beside
//! `SO_MEMINFO`, to the byte.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
};

use libtest_mimic::Failed;
use rustix::process::Signal;
use serde_json::Value;
use skmem::MemInfo;

use super::answered;
use crate::{binary::parsed, case::SKMEM, check::Check, process::wait_for, serving::Serving};

/// Bytes by cause, freed ones negative.
fn by_cause(serving: &Serving, field: &str) -> Vec<(String, i64)> {
    let text = serving.get("/metrics").body;
    let of = |line: &str, kind: &str, sign: i64| {
        let rest = line.strip_prefix(&format!("skmem_{field}_{kind}_bytes_total{{"))?;
        let cause = rest.split_once("cause=\"")?.1.split('"').next()?;
        let bytes = rest.rsplit(' ').next()?.parse::<f64>().ok()? as i64;
        (bytes != 0).then(|| (cause.to_owned(), sign * bytes))
    };
    text.lines()
        .filter_map(|line| of(line, "added", 1).or_else(|| of(line, "freed", -1)))
        .collect()
}

pub(super) fn of_one() -> Result<(), Failed> {
    let mut check = Check::default();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    let serving = Serving::start(SKMEM, &["--rx", "--sport", &port, "--interval", "500ms"]);
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let cookie = skmem::diag::socket_cookie(server.as_fd())?;
    // What is read whole is freed; of the rest nothing is read.
    for unread in [false, true] {
        for _ in 0..40 {
            client.write_all(&[b'x'; 1000])?;
        }
        if !unread {
            server.read_exact(&mut [0; 40_000])?;
        }
    }
    let r = || MemInfo::read(server.as_fd()).map_or(0, |m| i64::from(m.rmem_alloc));
    let mut counted = Vec::new();
    let same = wait_for(|| {
        let before = r();
        counted = by_cause(&serving, "rmem_alloc");
        let sum: i64 = counted.iter().map(|(_, bytes)| bytes).sum();
        before > 30_000 && sum == before && r() == before
    });
    check.that(same, || format!("r is {}; counted: {counted:?}", r()));
    let has = |cause: &str| counted.iter().any(|(name, _)| name == cause);
    check.that(
        has("in-order") && has("read") && !has("receive-unattributed"),
        || format!("{counted:?}"),
    );
    // Nobody else's bytes: the other end sends, and its socket is not this one.
    let sent = by_cause(&serving, "wmem_queued");
    let fills = |(name, _): &(String, i64)| name == "first-fill" || name == "tail-append";
    check.that(!sent.iter().any(fills), || format!("of others: {sent:?}"));
    let answer = answered(
        &serving,
        &format!("/explain/{cookie}?format=json&at=end"),
        "",
    );
    check.equal("status of /explain", answer.status, 200);
    let verdict = parsed("explain", &answer.body).unwrap_or_default();
    let closes = &verdict["receive"]["account"]["closes"];
    check.equal("the receive account closes", closes, &Value::from(true));
    let (status, said) = serving.ended(Signal::TERM);
    check.that(status.success(), || format!("{status}: {said}"));
    check.done()
}
