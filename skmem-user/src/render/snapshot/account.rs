//! The machine's account, as rows of number and explanation.

use super::short::size;
use crate::{
    diag::account_sources::MemcgSock,
    explain::numbers::grouped,
    render::{
        Style,
        escape::escaped,
        layout::{row, title, wrap},
        style::Role,
        units::signed,
    },
    snapshot::account::{Account, Outcome},
};

/// Columns of a row's label.
const LABEL: usize = 22;

/// One line: how much, and whether it agrees.
#[must_use]
pub fn summary(account: &Account, kernel: &str) -> String {
    let sockets = grouped(signed(account.seen.sockets));
    format!(
        "{} in {sockets} TCP sockets, Linux {kernel}; the kernel counts {}: {}",
        size(account.charged_bytes),
        size(account.kernel_bytes),
        match account.outcome {
            Outcome::Closes if account.bound_bytes == 0 => "the account closes".to_owned(),
            Outcome::Closes => format!("the account closes (±{})", size(account.bound_bytes)),
            Outcome::Open => "the account does not close".to_owned(),
            Outcome::Uncharged => "the rest is not charged".to_owned(),
            Outcome::PartlySeen => "not every network namespace was seen".to_owned(),
        }
    )
}

/// A line, on as many as it takes.
#[must_use]
pub fn headline(text: &str, style: &Style) -> String {
    wrap(text, 0, 0, style.width).join("\n")
}

/// What matches the filters, in a few words.
#[must_use]
pub fn matching(sockets: usize, charged: i64) -> String {
    match sockets {
        1 => format!("1 socket matches, charged {}", size(charged)),
        n => format!(
            "{} sockets match, charged {}",
            grouped(n as i64),
            size(charged)
        ),
    }
}

/// Why no other tool shows this memory.
#[must_use]
pub fn essay(style: &Style) -> String {
    let mut out = String::from("\n");
    let why = "None of it is in any process's RES or in buff/cache: socket buffers are the kernel's own pages, which \
               are mapped into no process and cache no file. `free` shows them as used; the heads of packets are slab \
               (SUnreclaim), the data is plain pages that no line of /proc/meminfo names. A memory cgroup is charged \
               for its sockets all the same (`sock` in memory.stat), and can hit its limit by them.";
    for text in wrap(why, 0, 0, style.width) {
        out.push_str(&style.paint(Role::Aside, text));
        out.push('\n');
    }
    out
}

/// The whole account.
#[must_use]
pub fn account(account: &Account, style: &Style) -> String {
    let mut out = String::new();
    title(&mut out, "The account of the machine's TCP memory", style);
    let mut line =
        |label: &str, text: String| row(&mut out, &format!("  {label}"), LABEL, &text, style);
    let seen = &account.seen;
    let bytes = |n: i64| format!("{} bytes", grouped(n));
    let mut small = Vec::new();
    for (count, what) in [
        (seen.mptcp, "of them MPTCP"),
        (seen.time_wait, "in TIME-WAIT besides (no buffers)"),
        (seen.requests, "in SYN-RECV besides (no buffers)"),
        (seen.ktls, "with kernel TLS"),
    ] {
        if count > 0 {
            small.push(format!("{} {what}", grouped(signed(count))));
        }
    }
    let small = if small.is_empty() {
        String::new()
    } else {
        format!("; {}", small.join(", "))
    };
    line(
        "charged to sockets",
        format!(
            "{}: w {} + r {} + f {}, over {} sockets{small}",
            bytes(account.charged_bytes),
            grouped(seen.wmem_queued),
            grouped(seen.rmem_alloc),
            grouped(seen.forward_alloc),
            grouped(signed(seen.sockets)),
        ),
    );
    line(
        "the kernel counts",
        format!(
            "{}: {} pages, `TCP: mem` in /proc/net/sockstat",
            bytes(account.kernel_bytes),
            grouped(signed(account.kernel_pages))
        ),
    );
    if seen.bypassed > 0 {
        line(
            "not counted",
            format!(
                "{}: {} sockets bypass the kernel's count (net.core.bypass_prot_mem, or a cgroup's BPF program); their \
                 memory cgroups are charged",
                bytes(seen.bypassed_bytes),
                grouped(signed(seen.bypassed))
            ),
        );
    }
    if seen.open_records > 0 {
        line(
            "open TLS records",
            format!(
                "{} in {} sockets: charged, and in none of w, r and f until the record is sent",
                bytes(seen.open_record_bytes),
                grouped(signed(seen.open_records))
            ),
        );
    }
    line("difference", difference(account));
    if let Some(why) = bound(account) {
        line("bound", why);
    }
    if let Some(why) = uncharged(account) {
        line("may be uncharged", why);
    }
    line("sockets in no list", unlisted(account));
    line("limits (tcp_mem)", marks(account));
    match &account.memcg_sock {
        Some(memcg) if memcg.bytes == 0 && memcg.source.ends_with("usage_in_bytes") => line(
            "memory cgroups",
            "cgroup v1, which counts sockets only where memory.kmem.tcp.limit_in_bytes is set: none".into(),
        ),
        Some(memcg) => line("memory cgroups", cgroups(account, memcg)),
        None => line("memory cgroups", "no memory.stat with `sock` is shown here".into()),
    }
    line("slab", slab(account));
    line(
        "below TCP",
        format!(
            "{}: clones in queueing disciplines and cards (t); their data is in w and not counted twice",
            size(seen.wmem_alloc)
        ),
    );
    out
}

fn difference(account: &Account) -> String {
    let plus = if account.difference_bytes > 0 {
        "+"
    } else {
        ""
    };
    let number = format!("{plus}{} bytes", grouped(account.difference_bytes));
    let bound = grouped(account.bound_bytes);
    let times = match account.attempts {
        1 => String::new(),
        n => format!(", after {n} looks"),
    };
    match account.outcome {
        Outcome::Closes if account.bound_bytes == 0 => {
            format!("{number}: the account closes exactly{times}")
        }
        Outcome::Closes if account.difference_bytes < -account.bound_bytes => format!(
            "{number}, within -{} of what may be uncharged: the account closes{times}",
            grouped(account.bound_bytes.saturating_add(account.uncharged_bytes))
        ),
        Outcome::Closes => format!("{number}, within ±{bound}: the account closes{times}"),
        Outcome::Open => format!(
            "{number}, more than {bound}: THE ACCOUNT DOES NOT CLOSE{times}. Memory is charged to sockets that no list \
             shows, or leaked"
        ),
        Outcome::Uncharged => format!(
            "{number}, below -{}: the sockets hold more than the kernel counts{times}. This is not a leak: {}",
            grouped(account.bound_bytes.saturating_add(account.uncharged_bytes)),
            if account.charges_zerocopy {
                "something in w or r is not charged, which skmem knows of no reason for on this kernel"
            } else {
                "something in w or r is not charged to TCP. io_uring's zero-copy sends (SEND_ZC) leave no other trace; \
                 a cgroup's BPF program can let sockets bypass the count (SK_BPF_BYPASS_PROT_MEM)"
            }
        ),
        Outcome::PartlySeen => format!(
            "{number}, more than ±{bound}: the rest may be in the network namespaces that were not seen ({} of {}; \
             --all-netns, as root)",
            account.namespaces.visited, account.namespaces.found
        ),
    }
}

/// Why the bound is what it is.
fn bound(account: &Account) -> Option<String> {
    let mut parts = Vec::new();
    let (reserve, seen) = (account.cpu_reserve, &account.seen);
    if reserve.bound() > 0 {
        parts.push(format!(
            "{}: each of {} CPUs may hold back {} (net.core.mem_pcpu_rsv{})",
            grouped(signed(reserve.bound())),
            reserve.cpus,
            size(signed(reserve.bytes_per_cpu)),
            if reserve.assumed {
                ", which is not shown here: its default"
            } else {
                ""
            }
        ));
    }
    if account.drift_bytes > 0 {
        parts.push(format!(
            "{}: the kernel's count moved meanwhile",
            grouped(account.drift_bytes)
        ));
    }
    if seen.uneven_bytes > 0 {
        parts.push(format!(
            "{}: w + r + f of {} sockets is not whole pages: they moved while they were read, or hold messages on the \
             error queue",
            grouped(seen.uneven_bytes),
            grouped(signed(seen.uneven))
        ));
    }
    if seen.open_record_slack_bytes > 0 {
        parts.push(format!(
            "{}: the length of open TLS records is known to a page or two",
            grouped(seen.open_record_slack_bytes)
        ));
    }
    if seen.exact > 0 {
        parts.push(format!(
            "w, r and f of {} sockets were read under their lock",
            grouped(signed(seen.exact))
        ));
    }
    (!parts.is_empty()).then(|| format!("± {}", parts.join("; ")))
}

/// What lets the kernel count less.
fn uncharged(account: &Account) -> Option<String> {
    let seen = &account.seen;
    let mut parts = Vec::new();
    if seen.maybe_zerocopy > 0 && !account.charges_zerocopy {
        parts.push(format!(
            "{}: w of {} sockets that may hold zero-copy data, which kernels from 5.16 on do not charge",
            grouped(seen.maybe_zerocopy_bytes),
            grouped(signed(seen.maybe_zerocopy))
        ));
    }
    if seen.maybe_bypassed > 0 {
        parts.push(format!(
            "{}: {} sockets in network namespaces where net.core.bypass_prot_mem is 1 (--check as root asks each)",
            grouped(seen.maybe_bypassed_bytes),
            grouped(signed(seen.maybe_bypassed))
        ));
    }
    if seen.error_queue_bytes > 0 {
        parts.push(format!(
            "{}: r of sockets that hold messages on their error queue",
            grouped(seen.error_queue_bytes)
        ));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What memory cgroups are charged with; where sockets bypass the kernel's count, this is what
/// closes their account.
fn cgroups(account: &Account, memcg: &MemcgSock) -> String {
    let seen = &account.seen;
    let text = format!(
        "{} charged to them ({})",
        size(signed(memcg.bytes)),
        memcg.source
    );
    let Some(difference) = account
        .memcg_difference()
        .filter(|_| seen.bypassed + seen.maybe_bypassed > 0)
    else {
        return text;
    };
    format!(
        "{text}; TCP sockets made in cgroups hold {}: difference {} bytes (UDP is charged, too, and each CPU holds back \
         up to 64 pages)",
        size(seen.in_cgroups_bytes),
        grouped(difference)
    )
}

fn unlisted(account: &Account) -> String {
    let most = match account.max_orphans {
        Some(most) => format!(" of at most {} (tcp_max_orphans)", grouped(signed(most))),
        None => String::new(),
    };
    let orphans = match account.orphans {
        0 => String::new(),
        1 => format!("; 1 orphan{most}, which its application has closed and the kernel finishes"),
        n => format!(
            "; {} orphans{most}, which their applications have closed and the kernel finishes",
            grouped(signed(n))
        ),
    };
    match account.unlisted {
        n if n > 0 => format!(
            "{}: not bound, in a namespace not seen, or reset by the peer and not closed yet, with their unread data \
             charged{}{orphans}",
            grouped(n),
            unlisted_holders(account)
        ),
        _ => format!("none{orphans}"),
    }
}

/// Who holds them.
fn unlisted_holders(account: &Account) -> String {
    let held: Vec<_> = account
        .unlisted_holders
        .iter()
        .take(3)
        .map(|holder| {
            let count = grouped(signed(holder.sockets));
            format!("{} (pid {}) {count}", escaped(&holder.comm), holder.pid)
        })
        .collect();
    if held.is_empty() {
        return String::new();
    }
    let more = match account.unlisted_holders.len() {
        0..=3 => "",
        _ => ", …",
    };
    format!("; held by {}{more}", held.join(", "))
}

fn marks(account: &Account) -> String {
    let Some(marks) = account.tcp_mem else {
        return "not shown in this namespace (net.ipv4.tcp_mem is the initial one's)".into();
    };
    let pages = |n: i64| {
        let bytes = n.saturating_mul(signed(account.page_bytes));
        format!("{} pages ({})", grouped(n), size(bytes))
    };
    let share = |mark: u64| account.kernel_pages.saturating_mul(100) / mark.max(1);
    if marks.to_high <= 0 {
        return format!(
            "PAST THE HARD LIMIT of {}: nothing more is given, packets are dropped",
            pages(signed(marks.high))
        );
    }
    if marks.to_pressure <= 0 {
        return format!(
            "UNDER PRESSURE since {}: buffers shrink; {} left to the hard limit of {}",
            pages(signed(marks.pressure)),
            pages(marks.to_high),
            pages(signed(marks.high))
        );
    }
    format!(
        "{} % of the {} where pressure begins, {} % of the {} where nothing more is given; {} left to pressure",
        share(marks.pressure),
        pages(signed(marks.pressure)),
        share(marks.high),
        pages(signed(marks.high)),
        size(marks.to_pressure.saturating_mul(signed(account.page_bytes)))
    )
}

fn slab(account: &Account) -> String {
    let Some(caches) = &account.slab else {
        return "/proc/slabinfo is for root only".into();
    };
    let total: u64 = caches.iter().map(|cache| cache.total_bytes).sum();
    let mut used: Vec<_> = caches.iter().filter(|cache| cache.objects > 0).collect();
    used.sort_by_key(|cache| std::cmp::Reverse(cache.total_bytes));
    let named: Vec<_> = used
        .iter()
        .take(4)
        .map(|cache| {
            let count = grouped(signed(cache.objects));
            format!(
                "{} {count} × {}",
                cache.name,
                grouped(signed(cache.object_bytes))
            )
        })
        .collect();
    format!(
        "{} in caches for sockets and packet heads: {}; partly counted above, since w and r include the heads",
        size(signed(total)),
        named.join(", ")
    )
}
