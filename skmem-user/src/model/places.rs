//! Where sockets live, by name: the cgroups and the network namespaces of a trace's sockets, which
//! only the machine knows that they were traced on.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skmem_common::record::Ident;

use super::whose::Whose;

/// Names, by the numbers that accounts hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Places {
    /// Paths of cgroups below the root of cgroup v2, by their ids.
    pub cgroups: BTreeMap<u64, String>,
    /// Names that `ip netns` gave to network namespaces, by their inodes.
    pub namespaces: BTreeMap<u32, String>,
}

impl Places {
    /// The path of a socket's cgroup below the root of cgroup v2.
    #[must_use]
    pub fn cgroup(&self, ident: &Ident) -> Option<&str> {
        self.cgroups.get(&cgroup_id(ident)).map(String::as_str)
    }

    /// The name of its network namespace.
    #[must_use]
    pub fn namespace(&self, ident: &Ident) -> Option<&str> {
        self.namespaces.get(&ident.netns).map(String::as_str)
    }
}

/// The id of the cgroup in an account's identity; 0: not known.
#[must_use]
pub fn cgroup_id(ident: &Ident) -> u64 {
    u64::from(ident.cgroup_lo) | u64::from(ident.cgroup_hi) << 32
}

/// The innermost container of a cgroup's path: its id, or its name where the runtime gives names
/// ([`Whose`]).
#[must_use]
pub fn container(path: &str) -> Option<String> {
    Whose::of(path).container.map(|container| container.id)
}

/// The innermost unit of systemd in a cgroup's path.
#[must_use]
pub fn unit(path: &str) -> Option<String> {
    // systemd's own names, which know no upper case.
    #[expect(
        clippy::case_sensitive_file_extension_comparisons,
        reason = "they are not files"
    )]
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    path.rsplit('/').find(is_unit).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_and_units_in_paths() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/docker/{id}"),
            format!("/kubepods/besteffort/pod1/{id}"),
        ] {
            assert_eq!(container(&path), Some(id.clone()), "{path}");
        }
        let named = [
            ("/lxc.payload.web/system.slice/nginx.service", "web"),
            ("/machine.slice/machine-web.scope/payload", "web"),
        ];
        for (path, name) in named {
            assert_eq!(container(path).as_deref(), Some(name), "{path}");
        }
        let units = [
            ("/system.slice/nginx.service", Some("nginx.service")),
            (
                "/user.slice/user-0.slice/session-1.scope",
                Some("session-1.scope"),
            ),
            ("/system.slice/db.service/workers", Some("db.service")),
            ("/", None),
        ];
        for (path, name) in units {
            assert_eq!(unit(path).as_deref(), name, "{path}");
            assert_eq!(container(path), None, "{path}");
        }
    }
}
