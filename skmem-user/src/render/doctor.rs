//! What `skmem doctor` found, for people.

use super::{
    escape::sanitized,
    layout::hang,
    style::{Role, Style},
};
use crate::kernel::doctor::{Finding, State, overall};

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The running kernel.
    Here,
    /// The running kernel, without loading programs.
    Unloaded,
    /// The types of another one, which cannot tell whether it lets programs be
    /// attached.
    Types,
}

/// The answer, for the place that was looked at, then a line for each thing
/// looked at, the worst first. Ends with a newline.
#[must_use]
pub fn doctor(findings: &[Finding], place: Place, style: &Style) -> String {
    let mut out = String::new();
    let at = match place {
        Place::Here => "here",
        Place::Unloaded => "here, as far as is seen without loading programs",
        Place::Types => "on a kernel with these types",
    };
    let answer = match (overall(findings), place) {
        (State::Good, Place::Types) => {
            "A kernel with these types has all that skmem asks for. Run `skmem doctor` on that kernel to see whether \
             it lets programs be attached."
                .to_owned()
        }
        (State::Reduced, Place::Types) => {
            "A kernel with these types lacks something; what is missing is listed below. Run `skmem doctor` on that \
             kernel to see whether it lets programs be attached."
                .to_owned()
        }
        (State::Good, _) => format!("skmem can trace everything {at}."),
        (State::Reduced, _) => format!("skmem can trace {at}; what is missing is listed below."),
        (State::Impossible, _) => format!("skmem cannot trace {at}; reasons below."),
    };
    hang(&mut out, "", 0, &answer, Some(Role::Title), style);
    out.push('\n');
    let column = 4 + findings
        .iter()
        .map(|f| f.what.len())
        .max()
        .unwrap_or(0)
        .min(34);
    for state in [State::Impossible, State::Reduced, State::Good] {
        for finding in findings.iter().filter(|f| f.state == state) {
            let mark = match state {
                State::Good => " ",
                State::Reduced => "~",
                State::Impossible => "!",
            };
            let mut head = format!("{mark} {:<width$}", finding.what, width = column - 2);
            let below = " ".repeat(column);
            // A name that leaves no gap has a line of its own.
            if finding.what.chars().count() + 4 > column {
                out.push_str(&head);
                out.push('\n');
                head.clone_from(&below);
            }
            let role = (state == State::Impossible).then_some(Role::Alarm);
            hang(
                &mut out,
                &head,
                column,
                &sanitized(&finding.found),
                role,
                style,
            );
            if let Some(consequence) = &finding.consequence {
                hang(&mut out, &below, column, consequence, None, style);
            }
            if let Some(remedy) = &finding.remedy {
                let text = format!("remedy: {remedy}");
                hang(&mut out, &below, column, &text, Some(Role::Aside), style);
            }
        }
    }
    out
}
