//! `--verify`: whether the records tell the kernel's own account.

use clap::Args;

use crate::trace::Session;

/// The option of commands that read records.
#[derive(Debug, Clone, Copy, Args)]
pub struct Verify {
    /// Replay the records while they come, and say whether they tell the kernel's own accounts, to
    /// the byte; takes more CPU time
    #[arg(long, help_heading = "Resources")]
    pub verify: bool,
}

impl Verify {
    /// Before records come. `replays`: they are replayed for something else anyway.
    pub fn prepare(self, session: &mut Session, replays: bool) {
        if !self.verify && !replays {
            session.keep_sleepers_only();
        }
    }

    /// Says on stderr what has come of it; false where an account differs.
    pub fn tell(self, session: &Session) -> bool {
        if !self.verify {
            return true;
        }
        let found = session.compared();
        let unknown = match found.unknown {
            0 => String::new(),
            n => format!(
                "; {n} not compared: some of their records were lost or not read yet, or are older \
                 than the trace"
            ),
        };
        eprintln!(
            "skmem: records and the kernel's accounts agree to the byte: {} of {}{unknown}",
            found.agree,
            found.agree + found.differ
        );
        if found.differ != 0 {
            eprintln!(
                "skmem: {} differ: this is a bug in skmem, please report it",
                found.differ
            );
        }
        found.differ == 0
    }
}
