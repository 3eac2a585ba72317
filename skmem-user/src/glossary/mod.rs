//! The words for what `ss -m` and skmem print: one source for `skmem fields`, `skmem decode`, the
//! legend of `skmem snapshot` and `docs/fields.md`.
//!
//! Statements about the kernel hold for 5.10 to 7.3 (`sk_get_meminfo`, `tcp_diag_get_info`,
//! `sockstat_seq_show`); where versions differ the entry says so.

mod columns;
mod congestion;
mod details;
mod findings;
mod info;
mod memory;
mod queues;
mod settings;
mod states;
mod system;
mod words;

/// One value that is printed somewhere, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// skmem's name, in code, JSON and CSV.
    pub name: &'static str,
    /// What `ss` prints before the number, if it prints it.
    pub ss: Option<&'static str>,
    /// Other words under which people look for it.
    pub aliases: &'static [&'static str],
    /// The kernel's field or formula, and the function that reports it.
    pub kernel: &'static str,
    /// Bytes, packets, pages, …; empty where it is not a quantity.
    pub unit: &'static str,
    /// The same in a word or three; empty where `ss` prints no letter for it.
    pub brief: &'static str,
    /// What it is, in a clause that stands after "is".
    pub meaning: &'static str,
    /// Who makes it go up and down; empty where nothing does.
    pub moved_by: &'static str,
    /// What people get wrong about it.
    pub traps: &'static [&'static str],
}

/// An entry without what not every entry has.
const fn said(
    name: &'static str,
    ss: Option<&'static str>,
    kernel: &'static str,
    meaning: &'static str,
) -> Field {
    Field {
        name,
        ss,
        aliases: &[],
        kernel,
        unit: "",
        brief: "",
        meaning,
        moved_by: "",
        traps: &[],
    }
}

/// Entries under their headings, in the order in which they are printed.
pub const GROUPS: [(&str, &[Field]); 11] = [
    ("Columns and kinds: `ss`", columns::FIELDS),
    ("Memory: `ss -m`", memory::FIELDS),
    ("Queues and windows", queues::FIELDS),
    ("Times, rates and counts: `ss -i`", info::FIELDS),
    (
        "Behind a socket: `ss -e`, `-o`, TLS, MPTCP",
        details::FIELDS,
    ),
    ("Congestion controls: `ss -i`", congestion::FIELDS),
    ("The whole machine", system::FIELDS),
    ("Options and sysctls", settings::FIELDS),
    ("Words", words::FIELDS),
    ("States", states::FIELDS),
    ("Findings", findings::FIELDS),
];

/// Every entry, in the order in which `ss` prints its letters, then the rest.
pub fn all() -> impl Iterator<Item = &'static Field> {
    GROUPS.into_iter().flat_map(|(_, fields)| fields)
}

/// The entry for a letter, a name or an alias. Letters are looked for as they are written, names in
/// any case, with `-` for `_`.
#[must_use]
pub fn find(word: &str) -> Option<&'static Field> {
    let wanted = plain(word);
    all()
        .find(|field| field.ss == Some(word))
        .or_else(|| all().find(|field| field.name == word))
        .or_else(|| {
            all().find(|field| {
                plain(field.name) == wanted || field.ss.is_some_and(|ss| plain(ss) == wanted)
            })
        })
        .or_else(|| all().find(|field| field.aliases.iter().any(|a| plain(a) == wanted)))
}

/// What a value is, in a clause, by skmem's name for it; empty for a name that has no entry.
#[must_use]
pub fn meaning(name: &str) -> &'static str {
    all()
        .find(|field| field.name == name)
        .map_or("", |field| field.meaning)
}

/// What a value is, in a word or three.
#[must_use]
pub fn brief(name: &str) -> &'static str {
    all()
        .find(|field| field.name == name)
        .map_or("", |field| field.brief)
}

/// Names that are one slip of the fingers from `word`: a letter more, less, other, or two changed
/// about.
#[must_use]
pub fn near(word: &str) -> Vec<&'static str> {
    let word = plain(word);
    if word.chars().count() < 3 {
        return Vec::new();
    }
    let mut found: Vec<&'static str> = Vec::new();
    for field in all() {
        let names = std::iter::once(field.name)
            .chain(field.ss)
            .chain(field.aliases.iter().copied());
        for name in names {
            if is_slip(&word, &plain(name)) && !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

fn plain(text: &str) -> String {
    text.trim()
        .trim_end_matches(':')
        .to_lowercase()
        .replace(['-', ' '], "_")
}

/// Whether two words differ by one slip at most.
fn is_slip(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same..], &b[same..]);
    match (a, b) {
        ([], [] | [_]) | ([_], []) => true,
        ([a, b, rest @ ..], [c, d, other @ ..]) if a == d && b == c && rest == other => true,
        ([_, rest @ ..], [_, other @ ..]) if rest == other => true,
        ([_, rest @ ..], other) if rest == other => true,
        (rest, [_, other @ ..]) if rest == other => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_letter_that_ss_prints_in_skmem_is_explained() {
        for letter in ["r", "rb", "t", "tb", "f", "w", "o", "bl", "d"] {
            let field = find(letter).unwrap();
            assert_eq!(field.ss, Some(letter));
            assert!(!field.traps.is_empty(), "{letter}");
            assert!(!field.brief.is_empty(), "{letter}");
        }
    }

    #[test]
    fn names_letters_and_aliases_lead_to_one_entry_each() {
        let mut names = HashSet::new();
        for field in all() {
            assert!(names.insert(field.name), "{} twice", field.name);
            assert_eq!(find(field.name), Some(field), "{}", field.name);
            if let Some(ss) = field.ss {
                assert_eq!(find(ss), Some(field), "{ss}");
            }
            for text in [field.kernel, field.meaning] {
                assert!(!text.is_empty(), "{}", field.name);
            }
        }
        assert_eq!(find("sk_wmem_queued"), find("w"));
        assert_eq!(find("Send-Q").map(|f| f.name), Some("send_q"));
        assert_eq!(find("SEND_Q").map(|f| f.name), Some("send_q"));
        assert_eq!(find("notsent:").map(|f| f.name), Some("unsent"));
        assert_eq!(find("nonsense"), None);
    }

    #[test]
    fn a_mistyped_name_gets_a_hint_and_another_word_none() {
        assert!(near("wmem_queud").contains(&"wmem_queued"));
        assert!(near("wmem_qeuued").contains(&"wmem_queued"));
        assert!(near("retrns").contains(&"retrans"));
        for word in ["", "w", "usage", "sockets", "memory leak", "S"] {
            assert_eq!(near(word), [""; 0], "{word}");
        }
    }

    #[test]
    fn every_word_that_is_printed_has_a_page() {
        for word in [
            "truesize",
            "skb",
            "admission",
            "size_goal",
            "excess",
            "orphan",
            "backoff",
            "retrans",
            "lost",
            "rto",
            "rtt",
            "rcv_ssthresh",
            "rwnd_limited",
            "sndbuf_limited",
            "pacing_rate",
            "lastack",
            "lastsnd",
            "lastrcv",
            "minrtt",
            "app_limited",
            "ssthresh",
            "CLOSE-WAIT",
            "ESTAB",
            "FIN_WAIT2",
            "SYN-RECV",
            "UNCONN",
            "TCP_NOTSENT_LOWAT",
            "tcp_max_orphans",
            "net.ipv4.tcp_rmem",
            "SO_RCVBUF",
            "SO_SNDBUF",
            "rmem_max",
            "waits-for-peer-window",
            "slow-reader",
            "over-limit",
            "accept-queue",
            "persist",
            "ovhd",
            "flight",
            "data",
            "AF_UNIX",
            "UDP",
            "ino",
            "cubic",
            "wscale",
            "TSQ",
            "kTLS",
            "MPTCP",
            "limit",
            "SO_RESERVE_MEM",
            "bytes_acked",
            "delivery_rate",
        ] {
            assert!(find(word).is_some(), "{word}");
        }
    }

    /// Every word that `misc/ss.c` of iproute2 7.1 prints for TCP, MPTCP and UDP:
    /// `tcp_stats_print`, `mptcp_stats_print`, `print_skmeminfo`, `tcp_timer_print`,
    /// `proc_ctx_print`, `inet_show_sock`, `tcp_tls_conf`, `mptcp_subflow_info`,
    /// `tcp_show_info`, the columns, the states.
    #[test]
    fn every_word_of_ss_has_a_page() {
        let words = "Netid State Recv-Q Send-Q Local_Address:Port Peer_Address:Port Process tcp udp mptcp raw nl u_str \
            u_dgr u_seq p_raw p_dgr udplite icmp6 sctp dccp tipc vsock xdp ts usec_ts sack ecn ecnseen accecn fastopen \
            wscale rto backoff rtt ato qack bidir mss pmtu rcvmss advmss cwnd ssthresh bytes_sent bytes_retrans \
            bytes_acked bytes_received segs_out segs_in data_segs_out data_segs_in dctcp fallback_mode ce_state alpha \
            ab_ecn ab_tot bbr bw mrtt pacing_gain cwnd_gain send lastsnd lastrcv lastack pacing_rate delivery_rate \
            delivered delivered_ce app_limited busy rwnd_limited sndbuf_limited unacked retrans lost sacked dsack_dups \
            fackets reordering reord_seen rcv_rtt rcv_space rcv_ssthresh notsent minrtt rcv_ooopack snd_wnd rcv_wnd \
            rehash cubic reno bic westwood htcp hybla vegas veno scalable lp yeah illinois cdg nv highspeed bbr2 bbr3 \
            prague timer on keepalive timewait persist unknown delack uid ino sk cgroup v6only tos tclass class_id \
            fwmark priority users tid md5keys ao tcp-ulp-tls tcp-ulp-mptcp version cipher rxconf txconf zc_ro_tx \
            no_pad_rx flags token seq sfseq ssnoff maplen subflows add_addr_signal add_addr_accepted subflows_max \
            add_addr_signal_max add_addr_accepted_max fallback remote_key write_seq snd_una rcv_nxt local_addr_used \
            local_addr_max csum_enabled retransmits subflows_total endp_laminar_max last_data_sent last_data_recv \
            last_ack_recv inet-sockopt recverr recverr_rfc4884 is_icsk freebind hdrincl mc_loop transparent mc_all \
            nodefrag bind_addr_no_port defer_connect skmem mem ESTAB SYN-SENT SYN-RECV FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT \
            UNCONN CLOSE-WAIT LAST-ACK LISTEN CLOSING bound-inactive <-> --> <-- ---";
        let missing: Vec<&str> = words
            .split_whitespace()
            .filter(|word| find(word).is_none())
            .collect();
        assert_eq!(missing, [""; 0]);
        let unknown: Vec<&str> = crate::decode::words_of_ss()
            .filter(|word| find(word).is_none())
            .collect();
        assert_eq!(unknown, [""; 0], "read by decode");
    }

    /// Each name with a letter left out, doubled, changed, and two changed about: the name is
    /// suggested, and nothing that is further away.
    #[test]
    fn a_suggestion_is_one_slip_away() {
        fn distance(a: &str, b: &str) -> usize {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
            for i in 0..=a.len() {
                for j in 0..=b.len() {
                    rows[i][j] = match (i, j) {
                        (0, n) | (n, 0) => n,
                        _ => {
                            let same = usize::from(a[i - 1] != b[j - 1]);
                            let mut least = (rows[i - 1][j] + 1)
                                .min(rows[i][j - 1] + 1)
                                .min(rows[i - 1][j - 1] + same);
                            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                                least = least.min(rows[i - 2][j - 2] + 1);
                            }
                            least
                        }
                    };
                }
            }
            rows[a.len()][b.len()]
        }
        for field in all().filter(|field| field.name.len() >= 4) {
            let name: Vec<char> = field.name.chars().collect();
            let (mut less, mut more, mut other, mut swapped) =
                (name.clone(), name.clone(), name.clone(), name);
            less.remove(2);
            more.insert(1, 'x');
            other[3] = 'q';
            swapped.swap(1, 2);
            for slip in [less, more, other, swapped] {
                let slip: String = slip.into_iter().collect();
                if find(&slip).is_some() {
                    continue;
                }
                let found = near(&slip);
                assert!(found.contains(&field.name), "{slip}: {found:?}");
                for name in found {
                    assert!(distance(&plain(&slip), &plain(name)) <= 1, "{slip}: {name}");
                }
            }
        }
    }

    #[test]
    fn meanings_are_clauses() {
        for field in all() {
            let first = field.meaning.chars().next().unwrap();
            assert!(!field.meaning.ends_with('.'), "{}", field.name);
            assert!(first.is_lowercase() || first == '`', "{}", field.name);
            for trap in field.traps {
                let end = trap.ends_with('.') || trap.ends_with(')');
                assert!(end, "{}: {trap}", field.name);
            }
        }
        assert_eq!(meaning("none"), "");
    }
}
