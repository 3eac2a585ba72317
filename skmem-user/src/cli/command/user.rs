//! Runs the traced command as the user who called sudo, not as root.

use std::{env, fs};

use rustix::{
    process::geteuid,
    thread::{Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid},
};
use tokio::process::Command;

/// A user who is not root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
    name: Option<String>,
}

impl User {
    /// The user who called sudo to become root; None where nobody did.
    #[must_use]
    pub fn who_called_sudo() -> Option<Self> {
        let number = |name: &str| env::var(name).ok()?.parse().ok();
        let uid: u32 = number("SUDO_UID").filter(|uid| *uid != 0)?;
        geteuid().is_root().then(|| Self {
            uid,
            gid: number("SUDO_GID").unwrap_or(uid),
            name: env::var("SUDO_USER").ok(),
        })
    }

    /// Makes that command one of this user's: uid, gid, groups, and the variables that name the
    /// user.
    pub fn becomes(&self, command: &mut Command) {
        if let Some(name) = &self.name {
            command.env("USER", name).env("LOGNAME", name);
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        if let Some(home) = home(&users, self.uid) {
            command.env("HOME", home);
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        let mut groups = groups_of(&groups, self.name.as_deref());
        groups.push(self.gid);
        let groups: Vec<Gid> = groups.into_iter().map(Gid::from_raw).collect();
        let become_it = move || {
            set_thread_groups(&groups)?;
            set_thread_gid(gid)?;
            Ok(set_thread_uid(uid)?)
        };
        // SAFETY: between fork and exec it makes system calls, and no allocation. The child has one
        // thread.
        unsafe { command.pre_exec(become_it) };
    }
}

/// The home directory in the lines of `/etc/passwd`.
fn home(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut words = line.split(':').skip(2);
        let theirs = words.next()?.parse() == Ok(uid);
        words.nth(2).filter(|home| theirs && !home.is_empty())
    })
}

/// The groups that list the user, in the lines of `/etc/group`.
fn groups_of(groups: &str, user: Option<&str>) -> Vec<u32> {
    let lists = |line: &str| {
        let mut words = line.split(':').skip(2);
        let gid = words.next()?.parse().ok()?;
        let mut members = words.next()?.split(',');
        members.any(|member| Some(member) == user).then_some(gid)
    };
    groups.lines().filter_map(lists).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_and_groups() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\nodd:x\n";
        assert_eq!(home(users, 1000), Some("/home/ann"));
        assert_eq!(home(users, 7), None);
        let groups = "ann:x:1000:\ndialout:x:20:bob,ann\naudio:x:29:anna\nbroken\n";
        assert_eq!(groups_of(groups, Some("ann")), [20]);
        assert_eq!(groups_of(groups, None), [] as [u32; 0]);
    }
}
