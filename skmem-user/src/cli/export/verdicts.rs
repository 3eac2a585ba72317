//! The verdicts on all sockets of a recording: on the kernel's accounts where it
//! holds them, else on what records say.

use anyhow::Result;

use super::{Export, REPLAYED};
use crate::{explain::Verdict, model::replay::Replay};

/// What is known of sockets once all records were read.
pub(super) struct Verdicts<'a> {
    pub(super) export: &'a Export,
    /// Sockets of which the recording holds no account.
    pub(super) replay: Replay,
}

impl Verdicts<'_> {
    /// All of them, the worst first, with the ids of their cgroups.
    pub(super) fn list(&self) -> Result<Vec<(Verdict, u64)>> {
        let recorded = &self.export.recorded;
        let mut list = Vec::new();
        for id in self.ids() {
            let kept = recorded.kept(id);
            let replayed = match kept {
                Some(_) => None,
                None => self.replay.socket(id).map(|s| s.account(id)),
            };
            let verdict = match (kept, &replayed) {
                (Some((end, kept)), _) => recorded.judged(end, kept),
                (None, Some(account)) => recorded.replayed(id, account),
                (None, None) => continue,
            };
            let ident = kept.map(|(_, k)| k.account.ident);
            let ident = ident.or(replayed.map(|a| a.ident)).unwrap_or_default();
            let cgroup = u64::from(ident.cgroup_hi) << 32 | u64::from(ident.cgroup_lo);
            list.push((verdict, cgroup));
        }
        list.sort_by_key(|(v, _)| std::cmp::Reverse(v.worst_excess));
        if self.replay.omitted() != 0 {
            eprintln!(
                "skmem: the recording has more than {REPLAYED} sockets without an account: the \
                 table of sockets lacks the others"
            );
        }
        Ok(list)
    }

    /// Sockets with records, and those with an account only.
    fn ids(&self) -> Vec<u64> {
        let worst = self.export.recorded.survey.worst_first();
        let mut ids: Vec<u64> = worst.into_iter().map(|(id, _)| id).collect();
        let survey = &self.export.recorded.survey;
        let only_kept = self.export.recorded.kept_ids();
        let mut only_kept: Vec<u64> = only_kept
            .filter(|id| survey.socket(*id).is_none())
            .collect();
        only_kept.sort_unstable();
        ids.extend(only_kept);
        ids
    }
}
