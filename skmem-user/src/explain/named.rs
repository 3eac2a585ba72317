//! What is published under a name: an enum in the code, its name in text and JSON.

use serde::Serializer;
use skmem_common::{
    cause::{Cause, LimitCause},
    output::Holder,
};

use super::{
    chain::Step,
    verdict::{AnyCause, BlameFrom, CaState, Pacing},
};
use crate::model::timeline::WaitReason;

/// It has a name in output and docs.
pub(crate) trait Named {
    fn name(&self) -> &'static str;
}

/// Writes a name, for `serialize_with`.
pub(super) fn by_name<T: Named, S: Serializer>(of: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(of.name())
}

/// Likewise what may not be there: null then.
#[expect(clippy::ref_option, reason = "serde hands over a reference")]
pub(super) fn maybe_by_name<T: Named, S: Serializer>(
    of: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match of {
        Some(of) => to.serialize_str(of.name()),
        None => to.serialize_none(),
    }
}

macro_rules! named {
    ($($ty:ty),*) => { $(impl Named for $ty {
        fn name(&self) -> &'static str { <$ty>::name(*self) }
    })* };
}

named!(
    Cause, LimitCause, Step, Holder, WaitReason, AnyCause, BlameFrom, CaState, Pacing
);

impl Named for Option<LimitCause> {
    fn name(&self) -> &'static str {
        self.map_or("unknown", LimitCause::name)
    }
}
