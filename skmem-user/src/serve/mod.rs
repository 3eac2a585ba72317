//! `skmem serve` without kernel and clock: accounts and rows in, metrics out; and the server that
//! hands them out.
//!
//! * [`owner_labels`]: whose a socket is, as labels
//! * [`counts`]: what of a socket's account is counted, and what a group's counters are
//! * [`book`]: sockets to groups; counters of sockets that have ended are kept; bounded
//! * [`families`]: the book and the machine as metrics
//! * [`text`]: metrics as OpenMetrics and as Prometheus' text
//! * [`published`]: what one look found, as the server hands it out
//! * [`flight`]: the files of the black box: how many there may be, and reading them
//! * [`drawn`]: a verdict as a page, with a plot of what the black box has
//! * [`pages`]: what each path answers
//! * [`http`]: the server
//! * [`textfile`]: metrics into a file for node_exporter

pub mod book;
pub mod counts;
pub mod drawn;
pub mod families;
pub mod flight;
pub mod http;
pub mod owner_labels;
pub mod pages;
pub mod published;
pub mod text;
pub mod textfile;
