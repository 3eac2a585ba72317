//! `skmem serve` under connections that come and go as fast as they can: its memory, descriptors,
//! slots and series stay what they are, and each socket is counted once.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;

use super::{CONNECTIONS, SLACK, SLOTS, TIME, WARM_UP};
use crate::{
    case::SKMEM, check::Check, churn, process::wait_for, sender, serve::no_unattributed,
    serving::Serving,
};

/// Series that may come all the same, about those of a group.
const MORE_SERIES: u64 = 30;

/// A day, seconds.
const DAY: f64 = 86_400.0;
/// Shorter runs say nothing of a day: what a table takes when it grows would be most of it.
const LONG: f64 = 20.0 * 60.0;

/// What a scrape says of skmem itself.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Price {
    /// When, seconds since the warm-up.
    at: f64,
    /// KiB
    resident: u64,
    fds: u64,
    /// Places of the table in use.
    accounts: u64,
    series: u64,
}

/// The sum of a metric, over all its labels.
fn sum(text: &str, name: &str) -> f64 {
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let sample = rest.starts_with([' ', '{']);
        sample.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    };
    text.lines().filter_map(of).sum()
}

impl Price {
    fn of(text: &str, at: f64) -> Self {
        let whole = |name| sum(text, name) as u64;
        Self {
            at,
            resident: whole("process_resident_memory_bytes") >> 10,
            fds: whole("process_open_fds"),
            accounts: whole("skmem_accounts"),
            series: whole("skmem_series"),
        }
    }
}

/// The most of each, of a part of what was seen.
fn most(part: &[Price]) -> Price {
    let most = |of: fn(&Price) -> u64| part.iter().map(of).max().unwrap_or(0);
    Price {
        at: 0.0,
        resident: most(|p| p.resident),
        fds: most(|p| p.fds),
        accounts: most(|p| p.accounts),
        series: most(|p| p.series),
    }
}

/// What a day adds to a number that goes on as it did: by the line through what was seen (least
/// squares).
fn a_day(seen: &[Price], of: fn(&Price) -> u64) -> f64 {
    let n = seen.len().max(1) as f64;
    let mean = |of: &dyn Fn(&Price) -> f64| seen.iter().map(of).sum::<f64>() / n;
    let (at, value) = (mean(&|p| p.at), mean(&|p| of(p) as f64));
    let both = mean(&|p| (p.at - at) * (of(p) as f64 - value));
    let spread = mean(&|p| (p.at - at).powi(2));
    if spread > 0.0 {
        both / spread * DAY
    } else {
        0.0
    }
}

pub fn soak() -> Result<(), Failed> {
    let mut check = Check::default();
    let long = match env::var(TIME) {
        Ok(seconds) => format!("{seconds}s"),
        Err(_) => CONNECTIONS.to_string(),
    };
    let slots = format!("--max-sockets={SLOTS}");
    let serving = Serving::start(SKMEM, &["--interval", "1s", &slots]);
    let pid = serving.pid().as_raw_nonzero().to_string();
    let mut churn = Command::new(env::current_exe()?)
        .env(sender::ROLE, format!("{}{WARM_UP},{long}", sender::CHURN))
        .env(churn::TRACER, pid)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = churn.stderr.take().ok_or("no stderr")?;
    let (tell, said) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });

    let mut seen = Vec::new();
    let mut warm: Option<(u64, Instant)> = None;
    let mut made = 0;
    let mut seconds = 0.0;
    let mut other = Vec::new();
    loop {
        let number = |rest: &str| rest.trim().parse().unwrap_or(0);
        match said.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                if let Some(n) = line.strip_prefix(churn::WARM) {
                    warm = Some((number(n), Instant::now()));
                } else if let Some(n) = line.strip_prefix(churn::DONE) {
                    made = number(n);
                    seconds = warm.map_or(0.0, |(_, at)| at.elapsed().as_secs_f64());
                } else {
                    other.push(line);
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let text = serving.get("/metrics").body;
                if let Some((_, begun)) = warm.filter(|_| made == 0) {
                    seen.push(Price::of(&text, begun.elapsed().as_secs_f64()));
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let ended = churn.wait()?.code();
    check.equal("how it ended", ended, Some(i32::from(sender::CODE)));

    // All sockets are closed: their places come back with the next look that finds none of them.
    let counted = || sum(&serving.get("/metrics").body, "skmem_sockets_seen_total");
    let mut last = Price::of("", 0.0);
    let back = wait_for(|| {
        last = Price::of(&serving.get("/metrics").body, 0.0);
        last.accounts < 100
    });
    check.that(back, || format!("accounts stay: {last:?}"));
    let text = serving.get("/metrics").body;
    let third = seen.len().div_ceil(3).max(1).min(seen.len());
    let (early, late) = (most(&seen[..third]), most(&seen[seen.len() - third..]));
    let half = &seen[seen.len() / 2..];
    let day = a_day(half, |p| p.resident);
    let connections = made - warm.map_or(0, |(n, _)| n);
    let senders = churn::senders(made);
    let skipped = sum(&text, "skmem_runs_skipped_total");
    println!(
        "soak: serve, {SLOTS} slots
soak:   connections     {connections:>9} in {seconds:.0} s ({:.0} a second), each of two sockets
soak:   resident        {:>9} KiB warm, {} KiB at the end
soak:   descriptors     {:>9} warm, {} at the end
soak:   series          {:>9} warm, {} at the end
soak:   accounts        {:>9} at most, {} when all are closed
soak:   a day more      {day:>9.0} KiB resident, {:.1} descriptors, {:.0} accounts, as the second half of it goes on
soak:   counted         {:>9} sockets, {senders} of them of connections; {skipped} runs skipped",
        connections as f64 / seconds.max(1.0),
        early.resident,
        late.resident,
        early.fds,
        late.fds,
        early.series,
        late.series,
        most(&seen).accounts,
        last.accounts,
        a_day(half, |p| p.fds),
        a_day(half, |p| p.accounts),
        counted(),
    );
    check.that(
        early.resident > 0 && late.resident <= early.resident + early.resident / 20 + SLACK,
        || format!("skmem's memory grows: {seen:?}"),
    );
    check.that(seconds < LONG || day <= late.resident as f64 / 2.0, || {
        format!("a day would take {day:.0} KiB more: {half:?}")
    });
    check.that(late.fds <= early.fds, || {
        format!("descriptors grow: {seen:?}")
    });
    // A cause may come for the first time, or a command in place of another; it is no series a
    // connection.
    check.that(late.series <= early.series + MORE_SERIES, || {
        format!("series grow: {seen:?}")
    });
    check.equal(
        "sockets without a slot",
        sum(&text, "skmem_sockets_without_slot_total") as u64,
        0,
    );
    // Where the kernel skipped runs, nothing may name what they would have seen.
    if skipped == 0.0 {
        no_unattributed(&mut check, &text);
    }
    // Those of scrapes come on top.
    check.that(counted() >= senders as f64 * 0.999, || {
        format!("{} sockets are counted, and {senders} have sent", counted())
    });
    if !check.is_good() {
        println!("soak:   said: {}", other.join("\nsoak:     "));
    }
    check.done()
}
