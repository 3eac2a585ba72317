//! What the docs say of this kernel is so.

use libtest_mimic::{Failed, Trial};
use skmem::kernel::{
    btf::KernelBtf,
    plan::{Plan, Set},
    symbols::Symbols,
};
use skmem_common::hook::Hook;

use crate::{bench, case, check::Check};

/// A table: hooks down, kernels across.
const KERNELS: &str = include_str!("../../../docs/kernels.md");

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("docs::hooks-of-this-kernel", hooks)]
}

/// The functions that serve each hook here are those in this kernel's column.
fn hooks() -> Result<(), Failed> {
    let mut check = Check::default();
    let (major, minor) = case::kernel();
    let rows = || KERNELS.lines().filter(|line| line.starts_with('|'));
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim);
    let column = rows()
        .find_map(|line| cells(line).position(|cell| cell == format!("{major}.{minor}")))
        .ok_or_else(|| format!("docs/kernels.md has no column {major}.{minor}"))?;
    let btf = KernelBtf::running().map_err(bench::failed)?;
    let plan = Plan::new(&btf, &Symbols::running(), &[], Set::All).map_err(bench::failed)?;
    for hook in Hook::ALL {
        let mut served: Vec<&str> = plan
            .attachments
            .iter()
            .filter(|a| a.hook == *hook)
            .map(|a| a.function)
            .collect();
        served.dedup();
        let name = format!("`{}`", hook.name());
        let said = rows()
            .map(|line| cells(line).collect::<Vec<_>>())
            .find(|row| row.first() == Some(&name.as_str()))
            .and_then(|row| row.get(column).copied());
        let found = match served[..] {
            [] if plan.missing.contains(hook) => "–".to_owned(),
            // No kernel function.
            [] => continue,
            [only] if only == hook.name() => "yes".to_owned(),
            _ => {
                let names = served.iter().map(|f| format!("`{f}`"));
                names.collect::<Vec<_>>().join(", ")
            }
        };
        check.equal(
            format_args!("docs/kernels.md, {}, {major}.{minor}", hook.name()),
            said,
            Some(found.as_str()),
        );
    }
    check.done()
}
