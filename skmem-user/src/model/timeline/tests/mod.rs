//! A hand-written stream of records, and the timeline that comes of it.

mod life;
mod thin;
mod timeline;
mod waits;
