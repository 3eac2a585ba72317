//! What stands after the addresses: memory, `-i`, `-o`, `-e`, `-p`, on the same line (`-O`) or on others.

use super::{
    Reading, Unread, number,
    reading::{TimerText, User},
};

/// A socket whose details are being read.
pub(super) struct Details {
    reading: Reading,
    /// Something that only versions print which print `notsent`, too (4.6): its absence means 0.
    tells_unsent: bool,
}

impl Details {
    pub(super) fn new(reading: Reading) -> Self {
        Self {
            reading,
            tells_unsent: false,
        }
    }

    /// Whether a line that is not indented goes on with a socket.
    pub(super) fn knows(words: &[&str]) -> bool {
        words.first().is_some_and(|word| {
            let name = word.split_once(':').map_or(*word, |(name, _)| name);
            matches!(
                name,
                "users"
                    | "timer"
                    | "uid"
                    | "ino"
                    | "sk"
                    | "cgroup"
                    | "skmem"
                    | "mem"
                    | "ts"
                    | "sack"
                    | "cubic"
                    | "bbr"
                    | "reno"
                    | "wscale"
                    | "rto"
                    | "rtt"
                    | "mss"
                    | "cwnd"
                    | "inet-sockopt"
                    | "<->"
                    | "-->"
                    | "<--"
                    | "---"
            )
        })
    }

    pub(super) fn has_memory(words: &[&str]) -> bool {
        let memory = |word: &&str| word.starts_with("skmem:(") || word.starts_with("mem:(");
        words.iter().any(memory)
    }

    pub(super) fn line(&mut self, line: usize, words: &[&str], unread: &mut Vec<Unread>) {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if matches!(*word, "send" | "pacing_rate" | "delivery_rate") {
                words.next();
                continue;
            }
            if let Err(why) = self.word(word) {
                unread.push(Unread::new(line, word, why));
            }
        }
    }

    pub(super) fn finish(mut self) -> Reading {
        if self.tells_unsent && self.reading.is_connection() {
            self.reading.info.unsent.get_or_insert(0);
        }
        self.reading
    }

    fn word(&mut self, word: &str) -> Result<(), &'static str> {
        if let Some(name) = word.strip_prefix("tcp-ulp-") {
            self.reading.upper_layer = Some(name.to_owned());
            return Ok(());
        }
        let Some((key, value)) = word.split_once(':') else {
            // Options and flags: ts, sack, cubic, <->, app_limited, ….
            return Ok(());
        };
        match key {
            "skmem" | "mem" => self.memory(value, key == "mem"),
            "users" => self.users(value),
            "timer" => self.timer(value),
            "cgroup" => {
                self.reading.cgroup = Some(value.to_owned());
                Ok(())
            }
            _ => self.value(key, value),
        }
    }

    /// `(r0,rb131072,…)`: letters, then digits. Letters of a later version are passed over.
    fn memory(&mut self, value: &str, old_form: bool) -> Result<(), &'static str> {
        let list = value
            .strip_prefix('(')
            .and_then(|value| value.strip_suffix(')'))
            .ok_or("skmem:(…) that is closed")?;
        self.reading.old_form = old_form;
        for part in list.split(',') {
            let digits = part
                .find(|c: char| !c.is_ascii_lowercase())
                .unwrap_or(part.len());
            let (letter, digits) = part.split_at(digits);
            let value = number(digits).ok_or("a letter and a number")?;
            if let Some(place) = self.reading.memory.place(letter) {
                *place = Some(signed(letter, value));
            }
        }
        Ok(())
    }

    /// `(("name",pid=1,fd=3),…)`, before 3.19 `(("name",1,3),…)`, with `-Z` contexts between.
    fn users(&mut self, value: &str) -> Result<(), &'static str> {
        const WHY: &str = "users:((\"name\",pid=N,fd=N))";
        let list = value
            .strip_prefix("(")
            .and_then(|value| value.strip_suffix(')'))
            .ok_or(WHY)?;
        let mut rest = list;
        while let Some(start) = rest.find("(\"") {
            let user = &rest[start + 2..];
            let name_end = user.find("\",").ok_or(WHY)?;
            let numbers = &user[name_end + 2..];
            let end = numbers.find(')').ok_or(WHY)?;
            let mut found = numbers[..end].split(',').filter_map(|part| {
                let digits = part.split_once('=').map_or(part, |(_, digits)| digits);
                number(digits)
            });
            let (Some(pid), Some(fd)) = (found.next(), found.next()) else {
                return Err(WHY);
            };
            self.reading.users.push(User {
                comm: user[..name_end].to_owned(),
                pid,
                fd,
            });
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
        let mut parts = list.split(',');
        let (Some(name), Some(left), Some(count)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(WHY);
        };
        self.reading.timer = Some(TimerText {
            name: name.to_owned(),
            left: left.to_owned(),
            count: number(count).ok_or(WHY)?,
        });
        Ok(())
    }

    fn value(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        let info = &mut self.reading.info;
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
            "rtt" => {
                let rtt = value.split('/').next().and_then(|rtt| rtt.parse().ok());
                info.rtt_ms = Some(rtt.ok_or("rtt:MS/MS")?);
                return Ok(());
            }
            "retrans" => {
                let (now, total) = value.split_once('/').ok_or("retrans:N/N")?;
                info.retrans = Some(number(now).ok_or("retrans:N/N")?);
                info.total_retrans = Some(number(total).ok_or("retrans:N/N")?);
                return Ok(());
            }
            "minrtt" => {
                self.tells_unsent = true;
                return Ok(());
            }
            // All else says nothing about memory.
            _ => return Ok(()),
        };
        // "424ms(100.0%)" among them.
        let digits = value
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(value.len());
        *place = Some(number(&value[..digits]).ok_or("a number")?);
        Ok(())
    }
}

/// ss prints the kernel's signed 32-bit values unsigned; `d` is unsigned in the kernel, too.
fn signed(letter: &str, number: i64) -> i64 {
    match u32::try_from(number) {
        Ok(word) if letter != "d" => i64::from(word.cast_signed()),
        _ => number,
    }
}
