//! What one look found, as the server hands it out. Each text is made once, however often it is
//! asked for.

use std::{
    cmp::Reverse,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use super::{
    families::Family,
    text::{self, Format},
};
use crate::snapshot::{Row, SCHEMA, Snapshot, capture::Captured, findings};

/// Sockets that are kept: all of a busy machine's would double what skmem takes.
pub const SOCKETS: usize = 1_000;

/// The last look that did not fail, and what came after.
#[derive(Debug, Clone)]
pub struct Latest {
    /// That look.
    pub look: Arc<Published>,
    /// Why those since have failed; None: there were none.
    pub failed: Option<String>,
}

/// One look.
#[derive(Debug)]
pub struct Published {
    /// When it was.
    pub at: Instant,
    /// Metrics.
    pub families: Vec<Family>,
    /// The machine's account, and the sockets that are charged most, the largest first: up to
    /// [`SOCKETS`].
    captured: Captured,
    texts: [OnceLock<String>; 2],
}

impl Published {
    /// Of now.
    #[must_use]
    pub fn new(families: Vec<Family>, mut captured: Captured) -> Self {
        let rows = &mut captured.rows;
        rows.sort_by_key(|row| Reverse(row.charged));
        rows.truncate(SOCKETS);
        rows.shrink_to_fit();
        Self {
            at: Instant::now(),
            families,
            captured,
            texts: Default::default(),
        }
    }

    /// Metrics as text.
    pub fn text(&self, format: Format) -> &str {
        let place = &self.texts[usize::from(format == Format::OpenMetrics)];
        place.get_or_init(|| text::text(self.families.clone(), format))
    }

    /// Metrics as text for node_exporter's textfile collector, which has `process_…` of its own and
    /// refuses others.
    #[must_use]
    pub fn textfile(&self) -> String {
        let ours = |family: &&Family| family.metric.name.starts_with("skmem_");
        let families = self.families.iter().filter(ours).cloned().collect();
        text::text(families, Format::Prometheus)
    }

    /// How long ago it was.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.at.elapsed()
    }

    /// The `most` sockets that are charged most, [`SOCKETS`] at most, as `skmem snapshot --json`
    /// prints them.
    ///
    /// # Errors
    /// Where it cannot be written as JSON, which does not happen.
    pub fn sockets(&self, most: usize) -> serde_json::Result<String> {
        let captured = &self.captured;
        let mut rows: Vec<Row> = captured.rows.iter().take(most).cloned().collect();
        findings::set(&mut rows, &captured.limits, captured.account.tcp_mem);
        let snapshot = Snapshot {
            schema: SCHEMA,
            kernel: captured.kernel.clone(),
            realtime_ns: captured.realtime_ns,
            took_ns: captured.took_ns,
            account: captured.account.clone(),
            sockets: Some(rows),
            groups: None,
            probe: None,
            notes: captured.notes.clone(),
        };
        Ok(serde_json::to_string(&snapshot)? + "\n")
    }
}
