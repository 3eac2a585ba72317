//! Hidden options that take away what the kernel has: what a kernel that lacks it would cost.

use clap::Args;
use skmem_common::{hook::Hook, layout::FIELDS};

/// What to do without.
#[derive(Debug, Clone, Default, Args)]
pub struct Ablation {
    /// Leave out a hook, to see what it is good for
    #[arg(long, value_name = "FUNCTION", value_parser = hook, hide = true)]
    pub without_hook: Vec<Hook>,
    /// Do without a field, as on a kernel that lacks it
    #[arg(long, value_name = "FIELD", value_parser = field, hide = true)]
    pub without_field: Vec<String>,
}

fn hook(text: &str) -> Result<Hook, String> {
    Hook::ALL
        .iter()
        .copied()
        .find(|h| h.name() == text)
        .ok_or_else(|| format!("no hook is called {text:?}"))
}

/// A field by the name that the table of offsets has for it.
fn field(text: &str) -> Result<String, String> {
    let known = FIELDS.iter().any(|(name, ..)| *name == text);
    known
        .then(|| text.to_owned())
        .ok_or_else(|| format!("no field is called {text:?}"))
}
