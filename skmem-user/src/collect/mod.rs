//! From the ring buffer to typed records.
//!
//! * [`decode`]: bytes to records, length-checked
//! * [`reader`]: reads the ring as it fills

pub mod decode;
pub mod reader;
