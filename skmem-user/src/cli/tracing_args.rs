//! The options that `explain`, `trace` and `record` share: which sockets, and how they are traced.

use anyhow::Result;
use clap::Args;

use super::{ablation::Ablation, sockets::LiveArgs, tell};
use crate::{
    kernel::{plan::Set, table::SLOTS, tracer},
    quantity,
    selection::Selection,
    trace,
};

/// How sockets are traced.
#[derive(Debug, Clone, Default, Args)]
pub struct TracingArgs {
    #[command(flatten)]
    pub which: LiveArgs,
    /// Also trace the receive side: every byte of receive memory by cause, what the application
    /// reads, whether it keeps up
    #[arg(long, help_heading = "What")]
    pub rx: bool,
    /// Which kernel functions to hook. lean: those that keep the same account, cause by cause, at
    /// half the price. all: also count what memory is granted, and see each call begin
    /// [default: lean; of trace and record: all]
    #[arg(
        long,
        value_enum,
        value_name = "lean|all",
        hide_possible_values = true,
        help_heading = "What"
    )]
    pub hooks: Option<Set>,
    /// Ring buffer between kernel and skmem, e.g. 512K [default: 8M; serve without --flight: 1M]
    #[arg(long, value_name = "SIZE", value_parser = quantity::ring_size, help_heading = "Resources")]
    pub ring: Option<u32>,
    /// Sockets traced at the same time; each takes about 6 KiB of kernel memory
    #[arg(long, value_name = "N", default_value_t = SLOTS, help_heading = "Resources",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_sockets: u32,
    #[command(flatten)]
    pub ablation: Ablation,
}

/// Bytes of the ring where nobody says how many.
const RING: u32 = 8 << 20;

/// The same of who reads accounts, and few records. The ring counts twice as resident memory of
/// skmem.
#[cfg(feature = "serve")]
pub const SMALL_RING: u32 = 1 << 20;

impl TracingArgs {
    /// What is meant, and what the kernel side is asked for.
    ///
    /// # Errors
    /// Where something named does not exist: wrong usage.
    pub fn options(&self) -> Result<(Selection, tracer::Options)> {
        let selection = self.which.selection()?;
        if let Some(note) = trace::cgroup_note(&selection) {
            tell(&note);
        }
        let options = self.options_of(&selection);
        Ok((selection, options))
    }

    /// What the kernel side is asked for, of these sockets.
    #[must_use]
    pub fn options_of(&self, selection: &Selection) -> tracer::Options {
        tracer::Options {
            ring_bytes: self.ring.unwrap_or(RING),
            max_sockets: self.max_sockets,
            without: self.ablation.without_hook.clone(),
            without_fields: self.ablation.without_field.clone(),
            rx: self.rx,
            set: self.hooks.unwrap_or_default(),
            ..trace::options(selection)
        }
    }
}
