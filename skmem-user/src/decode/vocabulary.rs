//! The words that `ss` prints after the addresses (`tcp_stats_print`, `tcp_timer_print`,
//! `proc_ctx_print`, …, iproute2 2.6.39 to 7.3): they distinguish a line of `ss` from any other.

use super::number;

/// Words before a colon.
const KEYS: [&str; 96] = [
    "skmem",
    "mem",
    "users",
    "timer",
    "uid",
    "ino",
    "sk",
    "cgroup",
    "fwmark",
    "class_id",
    "v6only",
    "tos",
    "tclass",
    "priority",
    "inet-sockopt",
    "wscale",
    "rto",
    "backoff",
    "rtt",
    "ato",
    "qack",
    "bidir",
    "mss",
    "pmtu",
    "rcvmss",
    "advmss",
    "cwnd",
    "ssthresh",
    "bytes_sent",
    "bytes_retrans",
    "bytes_acked",
    "bytes_received",
    "segs_out",
    "segs_in",
    "data_segs_out",
    "data_segs_in",
    "dctcp",
    "bbr",
    "send",
    "lastsnd",
    "lastrcv",
    "lastack",
    "pacing_rate",
    "delivery_rate",
    "delivered",
    "delivered_ce",
    "app_limited",
    "busy",
    "rwnd_limited",
    "sndbuf_limited",
    "unacked",
    "retrans",
    "lost",
    "sacked",
    "dsack_dups",
    "fackets",
    "reordering",
    "reord_seen",
    "rcv_rtt",
    "rcv_space",
    "rcv_ssthresh",
    "notsent",
    "minrtt",
    "rcv_ooopack",
    "snd_wnd",
    "rcv_wnd",
    "rehash",
    "token",
    "flags",
    "seq",
    "sfseq",
    "ssnoff",
    "maplen",
    "remote_key",
    "write_seq",
    "snd_una",
    "rcv_nxt",
    "subflows",
    "subflows_max",
    "subflows_total",
    "add_addr_signal",
    "add_addr_accepted",
    "add_addr_signal_max",
    "add_addr_accepted_max",
    "local_addr_used",
    "local_addr_max",
    "csum_enabled",
    "retransmits",
    "endp_laminar_max",
    "last_data_sent",
    "last_data_recv",
    "last_ack_recv",
    "rxconf",
    "txconf",
    "version",
    "cipher",
];

/// Words that stand alone.
const FLAGS: [&str; 42] = [
    "fallback",
    "ts",
    "sack",
    "ecn",
    "ecnseen",
    "accecn",
    "fastopen",
    "app_limited",
    "usec_ts",
    "md5keys",
    "ao",
    "<->",
    "-->",
    "<--",
    "---",
    "send",
    "pacing_rate",
    "delivery_rate",
    "cubic",
    "reno",
    "bbr",
    "bbr2",
    "bbr3",
    "bic",
    "westwood",
    "htcp",
    "hybla",
    "vegas",
    "veno",
    "scalable",
    "lp",
    "yeah",
    "illinois",
    "dctcp",
    "cdg",
    "nv",
    "highspeed",
    "prague",
    "tcp-ulp-tls",
    "tcp-ulp-mptcp",
    "tcp-ulp-espintcp",
    "tcp-ulp-smc",
];

#[cfg(test)]
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    KEYS.into_iter().chain(FLAGS)
}

/// What stands before a colon.
pub(super) fn is_key(word: &str) -> bool {
    KEYS.contains(&word)
}

/// What stands alone.
pub(super) fn is_flag(word: &str) -> bool {
    FLAGS.contains(&word)
}

/// `1372.3Mbps`
pub(super) fn is_rate(word: &str) -> bool {
    rate(word).is_some()
}

/// `1372.3Mbps`, in bits a second (`sprint_bw`, which prints three digits: `1e+03Mbps`); of
/// `pacing_rate 1Gbps/2Gbps` (rate and highest rate) the first.
pub(super) fn rate(word: &str) -> Option<i64> {
    let (word, highest) = match word.split_once('/') {
        Some((rate, highest)) => (rate, highest.strip_suffix("bps")),
        None => (word, Some("")),
    };
    highest?;
    let digits = word.strip_suffix("bps")?;
    let (digits, unit) = match digits.char_indices().last()? {
        (at, 'K' | 'k') => (&digits[..at], 1e3),
        (at, 'M') => (&digits[..at], 1e6),
        (at, 'G') => (&digits[..at], 1e9),
        (at, 'T') => (&digits[..at], 1e12),
        _ => (digits, 1.0),
    };
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+'));
    let value: f64 = digits.parse().ok().filter(|_| plain)?;
    (value * unit <= 1e15).then_some((value * unit) as i64)
}

/// Whether a word is one that ss prints, whole: a flag, a rate, or a key with a value that may
/// belong to it.
pub(super) fn is_whole(word: &str) -> bool {
    if is_flag(word) || is_rate(word) {
        return true;
    }
    let Some((key, value)) = word.split_once(':') else {
        return false;
    };
    if !is_key(key) || value.is_empty() {
        return false;
    }
    match value.strip_prefix('(') {
        Some(_) => value.ends_with(')'),
        None if key == "cgroup" => value.starts_with('/') && !value.contains('<'),
        None => !value.ends_with(['.', ',', '/', '(']) && fits(key, value),
    }
}

/// Whether a key's value is made of what ss prints for it: numbers for most, words or hexadecimals
/// for some.
fn fits(key: &str, value: &str) -> bool {
    const WORDS: [&str; 19] = [
        "sk",
        "fwmark",
        "class_id",
        "tos",
        "tclass",
        "flags",
        "token",
        "remote_key",
        "seq",
        "sfseq",
        "ssnoff",
        "maplen",
        "rxconf",
        "txconf",
        "version",
        "cipher",
        "write_seq",
        "snd_una",
        "rcv_nxt",
    ];
    if WORDS.contains(&key) {
        return value.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '(' | ')' | ',')
        });
    }
    let number =
        |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '/' | '%' | '(' | ')' | '-' | ':');
    let rest = value.trim_start_matches(number);
    // 424ms(100.0%); what somebody wrote behind it is another's business.
    let rest = rest
        .strip_prefix("ms")
        .unwrap_or(rest)
        .trim_start_matches(number);
    rest.is_empty()
        || !rest.starts_with(|c: char| c.is_ascii_graphic())
        || matches!(rest, ";" | "*" | "_" | "|" | "'" | "\"")
}

/// Whether a line's words are some that go on with a socket: a flag or a key first, or a key
/// anywhere.
pub(super) fn goes_on(words: &[&str]) -> bool {
    let keyed = |word: &&str| {
        word.split_once(':')
            .is_some_and(|(key, value)| is_key(key) && !value.is_empty())
    };
    let first = words.first().is_some_and(|word| {
        is_flag(word)
            && words
                .get(1)
                .is_none_or(|next| is_flag(next) || keyed(next) || is_rate(next))
    });
    first
        || words.first().is_some_and(|word| is_rate(word))
        || words.iter().take(2).any(keyed)
        || words.iter().filter(|word| keyed(word)).count() >= 2
}

/// Whether text holds anything that only ss prints.
pub(super) fn is_ss_text(text: &str) -> bool {
    [
        "skmem:(",
        "mem:(r",
        "Recv-Q",
        "ESTAB",
        "LISTEN",
        "CLOSE-WAIT",
        "UNCONN",
        "FIN-WAIT",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

/// A whole number, with or without thousands separators.
pub(super) fn counted(word: &str) -> Option<i64> {
    if !word.contains(',') {
        return number(word);
    }
    let mut groups = word.split(',');
    let first = groups.next()?;
    let grouped = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    let digits = word.replace(',', "");
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    number(&digits).filter(|_| grouped && plain)
}
