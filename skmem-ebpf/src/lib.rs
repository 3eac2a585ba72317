//! Empty on purpose: the programs are in the binary. A library target lets
//! other crates name this one as a build dependency, so that a change here
//! rebuilds them.
#![no_std]
