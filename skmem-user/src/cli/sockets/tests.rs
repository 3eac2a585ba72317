//! What the options mean, here and elsewhere.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    live: LiveArgs,
}

fn args(line: &str) -> LiveArgs {
    let words = std::iter::once("skmem").chain(line.split_whitespace());
    Line::try_parse_from(words).expect(line).live
}

fn says<T: std::fmt::Debug>(result: Result<T>) -> String {
    format!("{:#}", result.expect_err("an error"))
}

#[test]
fn what_does_not_exist_is_refused() {
    let live = |line: &str| args(line).selection();
    assert!(says(live("--pid 4294967295")).contains("no process 4294967295"));
    assert!(says(live("--netns no-such-namespace")).contains("no such namespace"));
    assert!(says(live("--netns 4026500000")).contains("neither a process nor"));
    assert!(says(live("--dport no-such-service")).contains("no such TCP service in /etc/services"));
    assert!(says(live("--cgroup-root /proc")).contains("not a cgroup (v2)"));
    assert!(live("--cgroup /no/such/cgroup").is_err());
    assert!(comm("a-name-that-is-too-long").is_err() && comm("").is_err());
}

#[test]
fn on_this_machine_everything_is_looked_up() {
    let own = std::process::id();
    let chosen = args(&format!(
        "-p {own} --comm a --comm b --sport 1 --dst fd00::/8 --netns {own}"
    ));
    let selection = chosen.selection().unwrap();
    assert_eq!(selection.pids, [own]);
    assert_eq!(selection.comms, ["a", "b"]);
    assert!(matches!(selection.netns, Some(Netns::Inode(inode)) if inode >= FIRST_INODE));
    let filter = selection.filter();
    assert_eq!((filter.sport, filter.dport), (1, 0));
    assert!(!selection.is_all() && args("").selection().unwrap().is_all());
    let named = chosen.sockets.named();
    assert_eq!(named[0], ("pid".to_owned(), own.to_string()));
    assert_eq!(named.len(), 6);
    assert!(args("").sockets.is_empty());
}

#[test]
fn elsewhere_names_are_what_was_written_down() {
    let of = |line: &str| args(line).sockets.of_recording();
    let selection = of("-p 7 -p a-program-of-a-long-name --netns blue").unwrap();
    assert_eq!(selection.pids, [7]);
    assert_eq!(selection.names, ["a-program-of-a-"]);
    assert_eq!(selection.netns, Some(Netns::Name("blue".into())));
    let cgroup = |line: &str| of(line).unwrap().cgroup.unwrap().path;
    assert_eq!(cgroup("--cgroup /sys/fs/cgroup/a/b"), "/a/b");
    assert_eq!(cgroup("--cgroup /sys/fs/cgroup"), "/");
    assert_eq!(cgroup("--cgroup /system.slice"), "/system.slice");
    assert_eq!(cgroup("-p nginx.service"), "nginx.service");
    assert!(says(of("-p nginx.service -p 7")).contains("a unit is a cgroup"));
    assert!(says(of("--netns 17")).contains("inode number"));
    assert!(says(args("--netns blue").sockets.of_paste()).contains("ss prints"));
    let paste = args("--sport XmlIpcRegSvc").sockets.of_paste().unwrap();
    assert_eq!(paste.sport, Some(Port::Service("XmlIpcRegSvc".into())));
}
