//! Text of a snapshot, of decoded `ss` output and of the glossary.

mod account;
mod csv;
mod decoded;
mod decoded_brief;
mod fields;
mod groups;
mod notes;
mod probe;
mod short;
mod sockets;
mod table;
#[cfg(test)]
mod tests;
mod window;

pub use self::{
    account::{account, essay, headline, matching, summary},
    csv::{csv_groups, csv_rows},
    decoded::{Decoding, decoded},
    decoded_brief::decoded_brief,
    fields::{field, fields, fields_markdown},
    groups::groups,
    notes::notes,
    probe::probe,
    short::{short, size},
    sockets::{Show, legend, name, sockets},
};
