//! What this kernel cannot do is not a failure of the scenario.

/// The exit status of a scenario that this kernel cannot run, as test harnesses know it.
pub const SKIP_STATUS: u8 = 77;

/// An error that means "not here", with the reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Skip(String);

impl Skip {
    /// The reason as an error; contexts added on the way up do not hide that it is a skip.
    pub fn error(why: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(why.into()))
    }

    /// The reason, if `error` is a skip at heart.
    pub fn reason(error: &anyhow::Error) -> Option<&str> {
        error.downcast_ref::<Self>().map(|skip| skip.0.as_str())
    }
}
