//! Values that a shell may offer: those of this machine now, and the names that
//! skmem knows.

use std::{collections::BTreeSet, fs};

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use crate::{
    diag::owners,
    explain::pages,
    glossary,
    workload::{self, fix::Fix},
};

/// Processes: their ids, with the names of their commands; and those names.
pub fn processes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let all = running();
        let names: BTreeSet<&str> = all.iter().map(|(_, name)| name.as_str()).collect();
        let names = names.into_iter().map(CompletionCandidate::new);
        let pids = all.iter().map(|(pid, name)| {
            CompletionCandidate::new(pid.to_string()).help(Some(name.clone().into()))
        });
        names.chain(pids).collect()
    })
}

/// Command names.
pub fn commands() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let names: BTreeSet<String> = running().into_iter().map(|(_, name)| name).collect();
        names.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Network namespaces with names (`ip netns`).
pub fn namespaces() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name());
        names.map(CompletionCandidate::new).collect()
    })
}

/// Names of causes.
pub fn causes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let pages = pages::all().into_iter();
        pages
            .map(|page| named(page.name, page.words.brief))
            .collect()
    })
}

/// Words of the glossary.
pub fn fields() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let all = glossary::all().flat_map(|field| {
            let words = [Some(field.name), field.ss.filter(|ss| *ss != field.name)];
            words
                .into_iter()
                .flatten()
                .map(|word| named(word, field.meaning))
        });
        all.collect()
    })
}

/// Cases of `skmem demo`.
pub fn cases() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let all = workload::list().iter();
        all.map(|case| named(case.name, case.summary)).collect()
    })
}

/// Fixes of `skmem demo NAME --fix`.
pub fn fixes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let all = Fix::ALL.iter();
        all.map(|fix| named(fix.name(), fix.summary())).collect()
    })
}

fn named(name: &'static str, help: &'static str) -> CompletionCandidate {
    CompletionCandidate::new(name).help(Some(help.into()))
}

/// Processes that run a program (threads of the kernel do not), by id.
fn running() -> Vec<(u32, String)> {
    let pids = owners::processes().unwrap_or_default().into_iter();
    let pids = pids.filter(|pid| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty())
    });
    let all = pids.map(|pid| (pid, owners::command_name(pid).to_string()));
    all.filter(|(_, name)| !name.is_empty()).collect()
}
