//! The machine's root directory: the option of all commands that name pods.

use std::path::PathBuf;

use clap::Args;

/// Where the machine's own files are.
#[derive(Debug, Clone, Args)]
pub struct HostRoot {
    /// Root directory of the machine, for the names of pods in var/log/pods and var/log/containers
    #[arg(long = "host-root", value_name = "DIR", default_value = "/")]
    pub dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    /// What a command takes as the root.
    fn root(words: &str) -> PathBuf {
        let words = ["skmem"].into_iter().chain(words.split(' '));
        match Cli::try_parse_from(words).unwrap().command.unwrap() {
            Command::Snapshot(options) => options.host_root.dir,
            Command::Explain(options) => options.host_root.dir,
            Command::Top(options) => options.host_root.dir,
            #[cfg(feature = "serve")]
            Command::Serve(options) => options.host_root.dir,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_that_name_pods_take_a_root() {
        let commands = ["snapshot --by pod", "explain", "top --by pod"];
        let serve = cfg!(feature = "serve").then_some("serve");
        for command in commands.into_iter().chain(serve) {
            assert_eq!(root(command), PathBuf::from("/"), "{command}");
            let given = format!("{command} --host-root /host");
            assert_eq!(root(&given), PathBuf::from("/host"), "{command}");
        }
    }
}
