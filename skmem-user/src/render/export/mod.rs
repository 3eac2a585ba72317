//! A recording for other people's programs. `docs/export.md` says what each
//! column and track means; the two change together.
//!
//! * [`table`]: columns, their types and meanings: the source for CSV, Arrow, Parquet and the docs
//! * [`events`], [`receives`], [`sockets`]: the tables
//! * [`csv`], [`json`]: as text
//! * `columnar`: as Arrow and Parquet
//! * [`spans`]: what Perfetto and Chrome show of a recording
//! * [`perfetto`], [`chrome`]: their forms

pub mod chrome;
#[cfg(feature = "parquet")]
pub mod columnar;
pub mod csv;
pub mod events;
pub mod json;
mod packed;
pub mod perfetto;
#[doc(hidden)]
pub mod perfetto_messages;
pub mod receives;
pub mod sockets;
pub mod spans;
pub mod table;

pub use events::{Origin, Row};
pub use sockets::{Opening, SocketRow};
pub use table::{Cells, Column, Kind, Table};
