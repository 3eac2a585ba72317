//! What `skmem causes` lists: every name that output uses, each with the words
//! for it. The words are those of [`super::texts`].

use schemars::JsonSchema;
use serde::Serialize;
use skmem_common::{
    cause::{Cause, LimitCause, Sign},
    receive_cause::{RcvbufCause, ReceiveCause},
};

use super::{
    chain::Step,
    remedies,
    texts::{self, Words},
};

/// What concerns memory, but no byte of `sk_wmem_queued`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// `__sk_mem_schedule` said yes.
    Granted,
    /// It did so over `tcp_mem[2]`.
    GrantedOverTcpMem,
    /// It did so though the memory cgroup had refused.
    GrantedOverMemcg,
    /// It said no.
    Refused,
    /// `SO_RESERVE_MEM`.
    Reserved,
    /// What TLS in the kernel has collected of a record.
    KtlsRecord,
}

impl Memory {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Granted,
        Self::GrantedOverTcpMem,
        Self::GrantedOverMemcg,
        Self::Refused,
        Self::Reserved,
        Self::KtlsRecord,
    ];

    /// The name in output and docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::GrantedOverTcpMem => "granted-over-tcp_mem",
            Self::GrantedOverMemcg => "granted-over-memcg",
            Self::Refused => "refused",
            Self::Reserved => "reserve-mem",
            Self::KtlsRecord => "ktls-record",
        }
    }
}

/// What a name is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Makes `sk_wmem_queued` grow.
    Growth,
    /// Makes it shrink.
    Shrink,
    /// Moves `sk_sndbuf`.
    LimitMove,
    /// A step from `SO_SNDBUF` to `sk_sndbuf`.
    LimitChain,
    /// Concerns memory, but neither of these.
    Memory,
    /// Makes `sk_rmem_alloc` grow, or moves it either way.
    ReceiveGrowth,
    /// Makes it shrink.
    ReceiveShrink,
    /// Moves `sk_rcvbuf`.
    RcvbufMove,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: &'static [Self] = &[
        Self::Growth,
        Self::Shrink,
        Self::LimitMove,
        Self::LimitChain,
        Self::Memory,
        Self::ReceiveGrowth,
        Self::ReceiveShrink,
        Self::RcvbufMove,
    ];

    /// The heading above its names.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Growth => "What makes sk_wmem_queued grow",
            Self::Shrink => "What makes it shrink",
            Self::LimitMove => "What moves the limit, sk_sndbuf",
            Self::LimitChain => "From SO_SNDBUF to the limit",
            Self::Memory => "Memory that is not part of sk_wmem_queued",
            Self::ReceiveGrowth => "What makes sk_rmem_alloc grow (--rx)",
            Self::ReceiveShrink => "What makes that shrink",
            Self::RcvbufMove => "What moves its limit, sk_rcvbuf",
        }
    }
}

/// A name and all that is said of it.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The name.
    pub name: &'static str,
    /// What it is about.
    pub kind: Kind,
    /// The words.
    pub words: Words,
}

/// A page as JSON has it.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Description {
    /// The name.
    pub name: &'static str,
    /// What it is about.
    pub kind: Kind,
    /// For the line of a table.
    pub brief: &'static str,
    /// What happens in the kernel.
    pub sentence: &'static str,
    /// The kernel function that does it.
    pub function: &'static str,
    /// On which kernels.
    pub versions: &'static str,
    /// What it does to which field, with sign and unit.
    pub effect: &'static str,
    /// When it can exceed the limit, and by how much.
    pub over: &'static str,
    /// How skmem sees it; when it is inferred.
    pub seen: &'static str,
    /// The command that brings it about; None where there is none.
    pub demo: Option<&'static str>,
    /// What can be done, most useful first.
    pub remedies: Vec<Remedy>,
    /// What is often said to help and does not.
    pub useless: Vec<Remedy>,
}

/// A piece of advice as JSON has it.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Remedy {
    /// What to do.
    pub advice: &'static str,
    /// What it costs.
    pub price: &'static str,
    /// How it is known.
    pub evidence: String,
    /// The command that tries it; None where it was not tried.
    pub reproduce: Option<&'static str>,
}

impl Page {
    /// For JSON.
    #[must_use]
    pub fn describe(&self) -> Description {
        let w = &self.words;
        let describe = |list: &[remedies::Remedy]| {
            let words = list.iter().map(|remedy| remedy.words());
            let described = words.map(|said| Remedy {
                advice: said.advice,
                price: said.price,
                evidence: said.evidence.to_string(),
                reproduce: (!said.reproduce.is_empty()).then_some(said.reproduce),
            });
            described.collect()
        };
        Description {
            name: self.name,
            kind: self.kind,
            brief: w.brief,
            sentence: w.sentence,
            function: w.function,
            versions: w.versions,
            effect: w.effect,
            over: w.over,
            seen: w.seen,
            demo: (!w.demo.is_empty()).then_some(w.demo),
            remedies: describe(w.remedies),
            useless: describe(w.useless),
        }
    }
}

/// Every page, in the order of the list.
#[must_use]
pub fn all() -> Vec<Page> {
    let page = |name, kind, words| Page { name, kind, words };
    let causes = Cause::ALL
        .iter()
        .map(|c| page(c.name(), kind(*c), texts::of(*c)));
    let limits = LimitCause::ALL
        .iter()
        .map(|c| page(c.name(), Kind::LimitMove, texts::of_limit(*c)));
    // A step that is also a move of the limit has one page.
    let steps = Step::ALL
        .iter()
        .filter(|s| LimitCause::from_name(s.name()).is_none())
        .map(|s| page(s.name(), Kind::LimitChain, texts::of_step(*s)));
    let memory = Memory::ALL
        .iter()
        .map(|m| page(m.name(), Kind::Memory, texts::of_memory(*m)));
    let receive = ReceiveCause::ALL.iter().map(|c| {
        let kind = if c.is_free() {
            Kind::ReceiveShrink
        } else {
            Kind::ReceiveGrowth
        };
        page(c.name(), kind, texts::of_receive(*c))
    });
    let rcvbuf = RcvbufCause::ALL
        .iter()
        .map(|c| page(c.name(), Kind::RcvbufMove, texts::of_rcvbuf(*c)));
    let sending = causes.chain(limits).chain(steps).chain(memory);
    sending.chain(receive).chain(rcvbuf).collect()
}

/// Whether a cause makes the queue grow or shrink. Those of either sign count
/// as growth.
const fn kind(cause: Cause) -> Kind {
    match cause.sign() {
        Sign::Grows | Sign::Either => Kind::Growth,
        Sign::Frees(_) => Kind::Shrink,
    }
}

/// Other words for a name.
const ALIASES: [(&str, &str); 3] = [
    ("sendfile", "splice"),
    ("mptcp", "mptcp-data"),
    ("ktls", "ktls-record"),
];

/// A name is suggested that is at most one edit for each `NEAR` letters away.
const NEAR: usize = 3;

/// The page called `name`.
///
/// # Errors
/// Where there is none: the names that are like it, which may be none.
pub fn find(name: &str) -> Result<Page, Vec<&'static str>> {
    let alias = ALIASES.iter().find(|(other, _)| *other == name);
    let wanted = alias.map_or(name, |(_, known)| known);
    let pages = all();
    if let Some(page) = pages.iter().find(|p| p.name == wanted) {
        return Ok(*page);
    }
    let lower = name.to_lowercase();
    let like = |page: &&Page| {
        let part = lower.len() >= 3 && (page.name.contains(&lower) || lower.contains(page.name));
        part || distance(&lower, page.name) * NEAR <= lower.len()
    };
    let mut near: Vec<_> = pages.iter().filter(like).map(|p| p.name).collect();
    near.sort_by_key(|known| distance(&lower, known));
    Err(near)
}

/// Letters to change, add or take away to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_has_one_page_and_every_page_is_whole() {
        let mut seen = HashSet::new();
        for page in all() {
            assert!(seen.insert(page.name), "{} twice", page.name);
            assert_eq!(find(page.name).unwrap().name, page.name);
            let w = page.words;
            for text in [
                w.brief, w.sentence, w.function, w.versions, w.effect, w.over, w.seen,
            ] {
                assert!(
                    !text.is_empty() && !text.contains("  "),
                    "{}: {text:?}",
                    page.name
                );
            }
            assert!(w.brief.chars().count() <= 50, "{}", page.name);
            assert!(w.demo.is_empty() || w.demo.starts_with("skmem demo "));
        }
    }

    #[test]
    fn what_a_case_provokes_has_a_page() {
        for case in crate::workload::list() {
            for cause in case.provokes {
                assert!(find(cause).is_ok(), "{}: {cause}", case.name);
            }
        }
    }

    #[test]
    fn the_command_of_a_page_is_a_case_that_exists() {
        for page in all() {
            if let Some(rest) = page.words.demo.strip_prefix("skmem demo ") {
                let name = rest.split(' ').next().unwrap();
                assert!(crate::workload::find(name).is_ok(), "{}", page.name);
            }
        }
    }

    #[test]
    fn the_command_that_tries_an_advice_is_one() {
        use crate::workload::{Options, find as case, fix::Choice};
        let pages = all();
        let of = |p: &Page| [p.words.remedies, p.words.useless].concat();
        let remedies = pages.iter().flat_map(of);
        for remedy in remedies {
            let words = remedy.words();
            let mut rest = words.reproduce.split(' ').skip(2);
            let tried = words.evidence.is_tried() && remedy != remedies::Remedy::Report;
            assert_eq!(words.reproduce.is_empty(), !tried, "{words:?}");
            let Some(name) = rest.next() else { continue };
            let case = case(name).unwrap();
            if let (Some("--fix"), Some(fix)) = (rest.next(), rest.next()) {
                let fix: Choice = fix.parse().unwrap();
                fix.apply(case, &Options::default()).unwrap();
                let evidence = words.evidence.to_string();
                assert!(evidence.contains(words.reproduce), "{evidence}");
            }
        }
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_neighbours() {
        assert_eq!(find("sendfile").unwrap().name, "splice");
        assert_eq!(find("tail-apend").unwrap_err(), ["tail-append"]);
        assert_eq!(
            find("Tail").unwrap_err(),
            ["tail-merge", "tail-append", "tail-refill"]
        );
        assert_eq!(find("xyzzyplugh").unwrap_err(), Vec::<&str>::new());
    }

    #[test]
    fn distances() {
        let all = [("", ""), ("abc", ""), ("abc", "abd"), ("kitten", "sitting")];
        assert_eq!(all.map(|(a, b)| distance(a, b)), [0, 3, 1, 3]);
    }
}
