//! skmem: every byte of a TCP socket's send memory has a name.
