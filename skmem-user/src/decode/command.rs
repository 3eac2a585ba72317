//! Prompts and banners: which command printed what follows, and what its options say of columns
//! that are missing.

use super::{reading::Kind, vocabulary::goes_on};
use crate::diag::TcpState;

/// What the command line limits its output to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CommandScope {
    /// The one kind that it shows, so that there is no Netid column.
    pub kind: Option<Shown>,
    /// The one state that it shows, so that there is no State column.
    pub state: Option<TcpState>,
}

/// Sockets of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// With memory that we know.
    Known(Kind),
    /// Raw, netlink, unix, …
    Other,
}

/// A command's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// `ss` or `netstat`, perhaps behind a prompt, `sudo`, `watch`'s banner or a container's.
    Sockets(CommandScope),
    /// Something else behind a prompt, the time, a fence: no part of any output.
    Aside,
}

/// What a line is, if a command.
pub(super) fn command(line: &str) -> Option<Command> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if let Some(at) = words.iter().take(24).position(|word| is_program(word))
        && is_call(&words, at)
    {
        return Some(Command::Sockets(asked(&words[at..])));
    }
    let aside = is_prompt(&words) || is_time(&words) || is_fence(&words);
    aside.then_some(Command::Aside)
}

fn bare(word: &str) -> &str {
    word.trim_start_matches(['$', '#', '%', '>', '"', '\''])
        .trim_end_matches(['"', '\''])
}

fn is_program(word: &str) -> bool {
    let name = bare(word);
    let name = name.rsplit('/').next().unwrap_or(name);
    matches!(name, "ss" | "netstat")
}

/// Whether the program's name is called, not spoken of: options or a filter follow, or nothing;
/// what stands before may be a prompt, other programs, or a banner.
fn is_call(words: &[&str], at: usize) -> bool {
    const FILTERS: [&str; 13] = [
        "state", "exclude", "dst", "src", "sport", "dport", "|", "-", "(", "not", "or", "and", ">",
    ];
    let follows = words.get(at + 1).is_none_or(|word| {
        word.starts_with('-') || word.starts_with('|') || FILTERS.contains(&bare(word))
    });
    let spoken = words[..at].last().is_some_and(|word| {
        matches!(
            *word,
            "the" | "of" | "from" | "with" | "and" | "output" | "use" | "using" | "run" | "by"
        )
    });
    follows && !spoken
}

/// What its options say.
fn asked(words: &[&str]) -> CommandScope {
    let mut kinds: Vec<Shown> = Vec::new();
    let mut states = Vec::new();
    let netstat = bare(words[0]).ends_with("netstat");
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        let word = word.trim_matches(['\'', '"']);
        if word.starts_with('|') || word == ">" {
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            kinds.extend(by_name(long));
        } else if let Some(letters) = word.strip_prefix('-') {
            for letter in letters.chars() {
                match letter {
                    't' => kinds.push(Shown::Known(Kind::Tcp)),
                    'u' => kinds.push(Shown::Known(Kind::Udp)),
                    'M' if !netstat => kinds.push(Shown::Known(Kind::Mptcp)),
                    'w' | 'x' | 'd' | 'S' | '0' => kinds.push(Shown::Other),
                    // What follows is its value.
                    'f' | 'A' if !netstat => {
                        let value = rest.next().map_or("", |word| word);
                        kinds.extend(value.split(',').flat_map(|name| by_name(name).into_iter()));
                    }
                    'F' | 'D' | 'N' | 'K' if !netstat => {}
                    _ => {}
                }
            }
        } else if word == "state" {
            let name = rest
                .next()
                .map_or("", |word| word.trim_matches(['\'', '"']));
            states.push(state(name));
        } else if word == "exclude" {
            rest.next();
            states.push(None);
        }
    }
    kinds.dedup();
    let one = |kinds: &[Shown]| match kinds {
        [one] => Some(*one),
        _ => None,
    };
    CommandScope {
        kind: one(&kinds).filter(|_| !netstat),
        state: match states[..] {
            [state] => state,
            _ => None,
        },
    }
}

fn by_name(name: &str) -> Option<Shown> {
    Some(match name {
        "tcp" => Shown::Known(Kind::Tcp),
        "udp" => Shown::Known(Kind::Udp),
        "mptcp" => Shown::Known(Kind::Mptcp),
        "raw" | "unix" | "packet" | "netlink" | "dccp" | "sctp" | "vsock" | "tipc" | "xdp"
        | "link" => Shown::Other,
        _ => return None,
    })
}

/// A state's name in a filter of ss (`scan_state`).
pub(super) fn state(name: &str) -> Option<TcpState> {
    Some(match name.to_ascii_lowercase().replace('_', "-").as_str() {
        "established" | "estab" => TcpState::Established,
        "syn-sent" => TcpState::SynSent,
        "syn-recv" => TcpState::SynRecv,
        "fin-wait-1" | "fin-wait1" => TcpState::FinWait1,
        "fin-wait-2" | "fin-wait2" => TcpState::FinWait2,
        "time-wait" => TcpState::TimeWait,
        "closed" | "close" | "unconn" | "unconnected" => TcpState::Close,
        "close-wait" => TcpState::CloseWait,
        "last-ack" => TcpState::LastAck,
        "listening" | "listen" => TcpState::Listen,
        "closing" => TcpState::Closing,
        _ => return None,
    })
}

/// `user@host:~$ date`, `[root@host ~]#`, `$`, `➜  ~ kubectl …`, `PS C:\> wsl …`
fn is_prompt(words: &[&str]) -> bool {
    // `busy:732ms rwnd_limited:732ms(100.0%`: a line that was broken there.
    let Some(first) = words.first().filter(|_| !goes_on(words)) else {
        return false;
    };
    let ends = |word: &str| word.ends_with(['$', '#', '%', '❯', '➜', 'λ']);
    let sign =
        |word: &str| !word.is_empty() && word.chars().all(|c| matches!(c, '$' | '%' | '❯' | '➜'));
    // fish: `user@host ~>`; PowerShell: `PS C:\Users\me>`
    let arrow =
        |word: &str| word.ends_with('>') && (word.len() == 1 || word.contains(['~', '/', '\\']));
    let alone = words.len() <= 3 && words.last().is_some_and(|word| ends(word) || arrow(word));
    let named = words
        .iter()
        .take(4)
        .any(|word| ends(word) && word.len() > 1 && word.contains(['@', ':', ']', '~', '/']))
        || (first.starts_with('[')
            && words
                .iter()
                .take(4)
                .any(|word| word.ends_with("]#") || word.ends_with("]$")));
    sign(first) || alone || named
}

/// The time, as `date` and `uptime` print it.
fn is_time(words: &[&str]) -> bool {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let clock = |word: &&str| {
        let parts: Vec<&str> = word.split(':').collect();
        parts.len() == 3
            && parts
                .iter()
                .all(|part| part.len() == 2 && part.parse::<u8>().is_ok())
    };
    let printed = words.iter().any(|word| word.contains(['(', '=', '|']));
    !printed
        && words.len() <= 8
        && words.iter().any(clock)
        && words.iter().any(|word| MONTHS.contains(word))
}

/// A ruler, a fence, dots where something was left out.
fn is_fence(words: &[&str]) -> bool {
    const BANNERS: [&str; 8] = [
        "(Not all",
        "will not",
        "(servers and",
        "Active Internet",
        "Active UNIX",
        "Defaulted container",
        "Connection to",
        "Last login:",
    ];
    let begin = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    let ruler = words.iter().all(|word| {
        word.chars().all(|c| {
            matches!(
                c,
                '-' | '=' | '`' | '.' | '~' | '#' | '*' | '_' | '…' | '>' | '+' | '|' | '\u{2500}'
                    ..='\u{257f}'
            )
        })
    });
    // Org: #+begin_example; Jira: {code:bash}, {noformat:title=x}; reStructuredText: .. code::
    let marked = words.first().is_some_and(|word| {
        [
            "#+",
            "{code",
            "{noformat",
            "```",
            "~~~",
            "^C",
            "<details",
            "</details",
            "<summary",
        ]
        .iter()
        .any(|mark| word.starts_with(mark))
    });
    ruler
        || marked
        || BANNERS.contains(&begin.as_str())
        || matches!(
            *words,
            ["{noformat}" | "{code}" | "[code]" | "[/code]" | "<pre>" | "</pre>" | "COMMIT"]
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_of_every_shell_are_seen_with_what_they_ask_for() {
        let tcp = Some(Shown::Known(Kind::Tcp));
        for (line, kind, state) in [
            ("$ ss -tm", tcp, None),
            ("[root@host ~]# ss -tinmo 'dport = :4004'", tcp, None),
            ("#ss -tm", tcp, None),
            ("ss", None, None),
            ("ss -tm", tcp, None),
            ("➜  ~ ss -unam", Some(Shown::Known(Kind::Udp)), None),
            ("host% sudo /usr/sbin/ss -tu", None, None),
            ("host:/ # ss -t", tcp, None),
            ("# kubectl exec -it web-0 -c app -- ss -tm", tcp, None),
            ("# nsenter -t 1234 -n ss -tm | grep x", tcp, None),
            (
                "Every 2.0s: ss -tm    host1: Fri Nov 28 00:50:00 2025",
                tcp,
                None,
            ),
            (
                "Every 1.0s: ss -t4 state syn-sent  Tue Apr  1 10:07:33 2014",
                tcp,
                Some(TcpState::SynSent),
            ),
            ("$ ss -tn state listening", tcp, Some(TcpState::Listen)),
            ("$ ss -f netlink -m", Some(Shown::Other), None),
            ("$ ss -A udp -m", Some(Shown::Known(Kind::Udp)), None),
            ("$ss -m | xargs -L 1 | grep -w \"tcp\"", None, None),
            ("u@h:/mnt$ netstat -tn", None, None),
        ] {
            assert_eq!(
                command(line),
                Some(Command::Sockets(CommandScope { kind, state })),
                "{line}"
            );
        }
        for line in [
            "$",
            "[root@host1 ~]#",
            "user@host:/mnt/d$",
            "$ export PID=1",
            "[root@host1 ~]# date",
            "Fri Nov 28 00:50:02 UTC 2025",
            "Thu 06 Jan 2022 10:14:49 AM PST",
            "...",
            "```",
            "--",
            "{noformat}",
        ] {
            assert_eq!(command(line), Some(Command::Aside), "{line}");
        }
        for line in [
            "ESTAB 0 0 a:1 b:2",
            "when I look at the output of ss it is stuck",
            "hello world",
            "tcp ESTAB 0 0 10.0.0.1:1 10.0.0.2:2 users:((\"ss\",pid=1,fd=2))",
            " skmem:(r0,rb1) ts sack",
            "0 1 192.0.2.1:1 192.0.2.2:2",
        ] {
            assert_eq!(command(line), None, "{line}");
        }
    }
}
