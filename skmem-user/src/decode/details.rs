//! What stands after the addresses: memory, `-i`, `-o`, `-e`, `-p`, on the same line (`-O`) or on
//! others.

use super::{
    Reading,
    head::is_queue,
    number,
    reading::{TimerText, User},
    vocabulary::{counted, is_key, rate},
};

/// A socket whose details are being read.
pub(super) struct Details {
    reading: Reading,
    /// Something that only versions print which print `notsent`, too (4.6): its absence means 0.
    tells_unsent: bool,
    /// The same of `snd_wnd` (iproute2 5.18).
    tells_window: bool,
}

impl Details {
    pub(super) fn new(reading: Reading) -> Self {
        Self {
            reading,
            tells_unsent: false,
            tells_window: false,
        }
    }

    /// Reads the words; `bad` is given those that cannot be read, by their place, and why.
    pub(super) fn read(&mut self, words: &[&str], mut bad: impl FnMut(usize, &'static str)) {
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let next = words.get(at + 1).copied();
            let (used, read) = self.word_and_next(word, next);
            if let Err(why) = read {
                self.reading.damaged = true;
                bad(at, why);
            }
            at += used;
        }
    }

    pub(super) fn finish(mut self) -> Reading {
        self.reading.to_minrtt = self.tells_unsent;
        if self.tells_unsent && !self.reading.damaged && self.reading.is_connection() {
            self.reading.info.unsent.get_or_insert(0);
            if self.tells_window {
                self.reading.info.snd_wnd.get_or_insert(0);
            }
        }
        self.reading
    }

    /// How many words were used, and whether they could be read.
    fn word_and_next(
        &mut self,
        word: &str,
        next: Option<&str>,
    ) -> (usize, Result<(), &'static str>) {
        match (word, next) {
            ("send" | "delivery_rate" | "pacing_rate", Some(next)) => {
                let Some(bits) = rate(next) else {
                    return (1, Ok(()));
                };
                if word == "pacing_rate" {
                    self.reading.info.pacing_rate = Some(bits / 8);
                }
                (2, Ok(()))
            }
            // Condensed by hand: "Send-Q 9600", "Send-Q=9600", "Send-Q: 9600".
            (queue, _) if is_queue(queue) => {
                let digits = queue[6..].trim_start_matches(['=', ':']);
                let (digits, used) = match next {
                    Some(next) if digits.is_empty() => (next, 2),
                    _ => (digits, 1),
                };
                let value = counted(digits);
                if queue.starts_with('R') {
                    self.reading.recv_q = self.reading.recv_q.or(value);
                } else {
                    self.reading.send_q = self.reading.send_q.or(value);
                }
                (used, value.map(|_| ()).ok_or("a number"))
            }
            // "skmem: (r0,…)"
            ("skmem:" | "mem:" | "users:" | "timer:", Some(next)) if next.starts_with('(') => {
                (2, self.pair(word.trim_end_matches(':'), next))
            }
            _ => (1, self.word(word)),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), &'static str> {
        let word = unwrapped(word);
        if let Some(name) = word.strip_prefix("tcp-ulp-") {
            self.reading.upper_layer = Some(name.to_owned());
            return Ok(());
        }
        match word.split_once(':') {
            Some((key, value)) => self.pair(key, value),
            // Options and flags: ts, sack, cubic, <->, app_limited, ….
            None => Ok(()),
        }
    }

    fn pair(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        let lower = key.to_ascii_lowercase();
        match lower.as_str() {
            "skmem" | "mem" => self.memory(value, lower == "mem"),
            "users" => self.users(value),
            "timer" => self.timer(value),
            "cgroup" => {
                self.reading.cgroup = Some(value.to_owned());
                Ok(())
            }
            key => self.value(key, value),
        }
    }

    /// `(r0,rb131072,…)`: letters, then digits. Letters of a later version are passed over.
    fn memory(&mut self, value: &str, old_form: bool) -> Result<(), &'static str> {
        let list = value
            .strip_prefix('(')
            .map(|value| value.trim_end_matches([',', ';', '.', '*', '_', '`', '|', '\'', '"']))
            .and_then(|value| value.strip_suffix(')'))
            .ok_or("skmem:(…) that is closed")?;
        let list = list.to_ascii_lowercase();
        let mut memory = super::reading::Memory::default();
        let mut read: Vec<(String, String)> = Vec::new();
        for part in list.split([',', ' ', '\t']).filter(|part| !part.is_empty()) {
            let digits = part
                .find(|c: char| !c.is_ascii_lowercase())
                .unwrap_or(part.len());
            let (letter, digits) = part.split_at(digits);
            let digits = digits.trim_start_matches('=');
            match read.last_mut() {
                // "rb 131072"
                Some((_, before)) if letter.is_empty() && before.is_empty() => {
                    before.push_str(digits);
                }
                // "rb6,291,456"
                Some((_, before)) if letter.is_empty() && digits.len() == 3 => {
                    before.push(',');
                    before.push_str(digits);
                }
                _ if letter.is_empty() => return Err("letters and numbers"),
                _ => read.push((letter.to_owned(), digits.to_owned())),
            }
        }
        for (letter, digits) in read {
            let value = counted(&digits).ok_or("a letter and a number")?;
            if let Some(place) = memory.place(&letter) {
                *place = Some(signed(&letter, value));
            }
        }
        if self.reading.memory != super::reading::Memory::default() && self.reading.memory != memory
        {
            return Err("one skmem:(…) for a socket");
        }
        self.reading.old_form = old_form;
        self.reading.memory = memory;
        Ok(())
    }

    /// `(("name",pid=1,fd=3),…)`; with `-T` a tid between, before 3.19 `(("name",1,3),…)`, with
    /// `-Z` contexts between. xargs takes the quotes away.
    fn users(&mut self, value: &str) -> Result<(), &'static str> {
        const WHY: &str = "users:((\"name\",pid=N,fd=N))";
        let mut rest = value
            .strip_prefix("(")
            .and_then(|value| value.strip_suffix(')'))
            .ok_or(WHY)?;
        while let Some(start) = rest.find('(') {
            let user = &rest[start + 1..];
            let (comm, numbers) = match user.strip_prefix('"') {
                Some(quoted) => {
                    let end = quoted.find("\",").ok_or(WHY)?;
                    (&quoted[..end], &quoted[end + 2..])
                }
                None => {
                    let end = user.find(",pid=").ok_or(WHY)?;
                    (&user[..end], &user[end + 1..])
                }
            };
            let end = numbers.find(')').ok_or(WHY)?;
            let parts: Vec<&str> = numbers[..end].split(',').collect();
            let named = |name: &str| {
                let value = parts
                    .iter()
                    .find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
                number(value?)
            };
            let (pid, fd) = match (named("pid"), named("fd")) {
                (Some(pid), Some(fd)) => (pid, fd),
                _ => {
                    let mut plain = parts.iter().filter_map(|part| number(part));
                    (plain.next().ok_or(WHY)?, plain.next().ok_or(WHY)?)
                }
            };
            let user = User {
                comm: comm.to_owned(),
                pid,
                fd: Some(fd),
            };
            // Threads share a descriptor.
            if !self
                .reading
                .users
                .iter()
                .rev()
                .take(64)
                .any(|other| *other == user)
            {
                self.reading.users.push(user);
            }
            rest = &numbers[end + 1..];
        }
        Ok(())
    }

    /// `(on,204ms,0)`
    fn timer(&mut self, value: &str) -> Result<(), &'static str> {
        const WHY: &str = "timer:(name,time,count)";
        let list = value
            .strip_prefix('(')
            .and_then(|value| value.strip_suffix(')'))
            .ok_or(WHY)?;
        let mut parts = list.split(',').map(str::trim);
        let (Some(name), Some(left), Some(count)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(WHY);
        };
        self.reading.timer = Some(TimerText {
            name: name.to_ascii_lowercase(),
            left: left.to_ascii_lowercase(),
            count: number(count).ok_or(WHY)?,
        });
        Ok(())
    }

    fn value(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        let info = &mut self.reading.info;
        if key == "rwnd_limited" {
            let percent = value
                .split_once('(')
                .and_then(|(_, share)| share.strip_suffix("%)"));
            info.rwnd_limited_percent = percent.and_then(|percent| percent.parse().ok());
        }
        let place = match key {
            "ino" => &mut self.reading.inode,
            "mss" => &mut info.mss,
            "cwnd" => &mut info.cwnd,
            "unacked" => &mut info.unacked,
            "notsent" => &mut info.unsent,
            "snd_wnd" => &mut info.snd_wnd,
            "busy" => &mut info.busy_ms,
            "rwnd_limited" => &mut info.rwnd_limited_ms,
            "sndbuf_limited" => &mut info.sndbuf_limited_ms,
            "lost" => &mut info.lost,
            "backoff" => &mut info.backoff,
            "lastsnd" => &mut info.lastsnd_ms,
            "lastrcv" => &mut info.lastrcv_ms,
            "lastack" => &mut info.lastack_ms,
            "rcv_ssthresh" => &mut info.rcv_ssthresh,
            "rcv_wnd" => {
                self.tells_window = true;
                &mut info.rcv_wnd
            }
            "bytes_acked" => &mut info.bytes_acked,
            "bytes_received" => &mut info.bytes_received,
            "rto" => {
                // Microseconds since 6.x: 201.5
                let rto = plain(value).split('.').next().and_then(number);
                info.rto_ms = Some(info.rto_ms.or(rto).ok_or("rto:MS")?);
                return Ok(());
            }
            "rtt" => {
                let rtt = value.split('/').next().and_then(|rtt| rtt.parse().ok());
                info.rtt_ms = Some(info.rtt_ms.or(rtt).ok_or("rtt:MS/MS")?);
                return Ok(());
            }
            "retrans" => {
                let (now, total) = value.split_once('/').ok_or("retrans:N/N")?;
                // ss 4.x forgets the space before rcv_space.
                let (total, glued) = match total.find(|c: char| !c.is_ascii_digit()) {
                    Some(end) => total.split_at(end),
                    None => (total, ""),
                };
                info.retrans = Some(number(now).ok_or("retrans:N/N")?);
                info.total_retrans = Some(number(total).ok_or("retrans:N/N")?);
                return match glued.split_once(':') {
                    Some((key, value)) if is_key(key) => self.value(key, value),
                    _ => Ok(()),
                };
            }
            "minrtt" => {
                self.tells_unsent = true;
                return Ok(());
            }
            // Of an MPTCP socket, not of its subflows (`mptcp_stats_print`).
            "subflows" | "subflows_max" | "write_seq" | "snd_una" => {
                self.reading.kind = Some(super::reading::Kind::Mptcp);
                return Ok(());
            }
            // All else says nothing about memory.
            _ => return Ok(()),
        };
        let read = counted(plain(value)).ok_or("a number")?;
        match place {
            Some(before) if *before != read => Err("one value of a socket, and this is a second"),
            _ => {
                *place = Some(read);
                Ok(())
            }
        }
    }
}

/// A value without its unit: `424ms(100.0%)` is 424. What follows otherwise makes it no number, but
/// for a remark in another script.
fn plain(value: &str) -> &str {
    let end = value
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(value.len());
    let (digits, rest) = value.split_at(end);
    let unit = rest.is_empty()
        || rest == "ms"
        || (rest.starts_with("ms(") && rest.ends_with(')'))
        || matches!(rest, "," | ";" | ")" | "*" | "_" | "|" | "'" | "\"")
        || rest.starts_with(|c: char| !c.is_ascii());
    if unit { digits } else { value }
}

/// Without marks that somebody put around it.
fn unwrapped(word: &str) -> &str {
    let marks = ['*', '_', '~', '|', '\'', '>', '"', '['];
    let inner = word.trim_start_matches(marks);
    if inner.len() < word.len() && inner.contains(":(") {
        return inner.trim_end_matches(['*', '_', '~', '|', '\'', '"', ']']);
    }
    word
}

/// ss prints the kernel's signed 32-bit values unsigned; `d` is unsigned in the kernel, too.
fn signed(letter: &str, number: i64) -> i64 {
    match u32::try_from(number) {
        Ok(word) if letter != "d" => i64::from(word.cast_signed()),
        _ => number,
    }
}
