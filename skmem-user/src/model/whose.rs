//! Whose a socket is, from the path of its cgroup alone: systemd unit, container and its runtime,
//! pod. No API is asked.
//!
//! What each runtime calls its cgroups, by the source that names them:
//!
//! * Docker 20.10 to 29: `system.slice/docker-ID.scope`, by the cgroupfs driver `docker/ID` (moby
//!   `daemon/oci_linux.go`, `WithCgroups`: `scopePrefix`, `parent`)
//! * Podman 3 to 5: `machine.slice/libpod-ID.scope`, and crun's `container` below it; by cgroupfs
//!   `libpod_parent/libpod-ID` (`SystemdDefaultCgroupParent`, `CgroupfsDefaultCgroupParent`); of a
//!   quadlet `NAME.service/libpod-payload-ID` (`getOCICgroupPath`)
//! * containerd 1.4 to 2 below Kubernetes: `…-podUID.slice/cri-containerd-ID.scope`, by cgroupfs
//!   `kubepods/QOS/podUID/ID` (`getCgroupsPath` of its CRI server)
//! * CRI-O 1.20 on: `…-podUID.slice/crio-ID.scope`, by cgroupfs `kubepods/QOS/podUID/crio-ID`
//!   (`internal/config/cgmgr`: `CrioPrefix`)
//! * nerdctl 1 and 2: `system.slice/nerdctl-ID.scope` (`generateCgroupPath`: `scopePrefix`)
//! * LXC 4 to 6: `lxc.payload.NAME` (`cgroups/cgfsng.c`)
//! * systemd-nspawn: `machine.slice/machine-NAME.scope`, `systemd-nspawn@NAME.service`
//!
//! The kubelet's systemd driver writes the pod's UID with `_` for `-`, which separates slices
//! (`pkg/kubelet/cm/cgroup_manager_linux.go`: `escapeSystemdCgroupName`); a static pod's UID is 32
//! hexadecimal digits. All of it may lie below other cgroups: a node that is a container itself,
//! a user's service manager, a kubelet with a cgroup of its own (`kubelet-kubepods-…`). The
//! innermost counts.

/// Digits of a container's id.
const ID: usize = 64;

/// Whose a cgroup is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Whose {
    /// The innermost unit of systemd, unless it is the container's own scope.
    pub unit: Option<String>,
    /// The innermost container.
    pub container: Option<Container>,
    /// UID of the pod that it is in, with `-`.
    pub pod: Option<String>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Container {
    /// What runs it.
    pub runtime: Runtime,
    /// Its id, 64 hexadecimal digits; a name where the runtime gives names.
    pub id: String,
}

/// What runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// Docker, and what else names cgroups as it does.
    Docker,
    /// Podman.
    Podman,
    /// containerd, below Kubernetes or nerdctl.
    Containerd,
    /// CRI-O.
    Crio,
    /// LXC.
    Lxc,
    /// systemd-nspawn, and virtual machines that systemd-machined knows.
    Machine,
    /// The path has an id, and does not say whose.
    Unknown,
}

impl Runtime {
    /// Its name in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Lxc => "lxc",
            Self::Machine => "machine",
            Self::Unknown => "container",
        }
    }
}

/// What stands before a container's id, and whose it is. The first that fits counts.
const PREFIXES: &[(&str, Runtime)] = &[
    ("docker-", Runtime::Docker),
    ("libpod-payload-", Runtime::Podman),
    ("libpod-conmon-", Runtime::Podman),
    ("libpod-", Runtime::Podman),
    // As runc takes `slice:prefix:name` where the kubelet's driver is not the runtime's.
    ("cri-containerd:", Runtime::Containerd),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-conmon-", Runtime::Crio),
    ("crio-", Runtime::Crio),
];

/// What stands before a container's name.
const NAMED: &[(&str, &str, Runtime)] = &[
    ("lxc.payload.", "", Runtime::Lxc),
    ("machine-", ".scope", Runtime::Machine),
    ("systemd-nspawn@", ".service", Runtime::Machine),
];

impl Whose {
    /// Whose the cgroup with this path below the root of the hierarchy is.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').collect();
        let found = parts.iter().enumerate().rev().find_map(|(at, part)| {
            let above = at.checked_sub(1).map_or("", |above| parts[above]);
            Some((at, container_in(part, above)?))
        });
        let place = found.as_ref().map(|(at, _)| *at);
        let unit = parts
            .iter()
            .enumerate()
            .rev()
            .find(|(at, part)| Some(*at) != place && is_unit(part));
        // A pod that is further out than another container is that of the node.
        let pods = parts.iter().enumerate().rev();
        let pod = pods
            .filter_map(|(at, part)| Some((at, pod_in(part)?)))
            .find(|(at, _)| place.is_none_or(|place| at + 1 == place || *at == place));
        Self {
            unit: unit.map(|(_, part)| (*part).to_owned()),
            container: found.map(|(_, container)| container),
            pod: pod.map(|(_, uid)| uid),
        }
    }

    /// The path of the cgroup of the pod that the cgroup with this path is in; None also where that
    /// is no cgroup of its own.
    #[must_use]
    pub fn pod_path(path: &str) -> Option<&str> {
        let uid = Self::of(path).pod?;
        let mut end = 0;
        path.split('/').find_map(|part| {
            let whole = &path[..end + part.len()];
            end = whole.len() + 1;
            let is_pod = pod_in(part).is_some_and(|found| found == uid);
            (is_pod && container_in(part, "").is_none()).then_some(whole)
        })
    }

    /// The container as `docker ps` shows it: 12 digits of its id, or its name.
    #[must_use]
    pub fn short_container(&self) -> Option<&str> {
        let id = self.container.as_ref()?.id.as_str();
        Some(match is_id(id) {
            true => &id[..12],
            false => id,
        })
    }
}

/// The container whose directory this is.
fn container_in(part: &str, above: &str) -> Option<Container> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    // `kubepods-…slice:cri-containerd:ID`
    let name = match name.split_once(".slice:") {
        Some((_, rest)) => rest,
        None => name,
    };
    let whole = |runtime, id: &str| Container {
        runtime,
        id: id.to_owned(),
    };
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = name.strip_prefix(prefix).filter(|id| is_id(id)) {
            return Some(whole(*runtime, id));
        }
    }
    if is_id(name) {
        let runtime = match above {
            "docker" => Runtime::Docker,
            // cri-dockerd names it alike.
            _ if pod_in(above).is_some() => Runtime::Containerd,
            _ => Runtime::Unknown,
        };
        return Some(whole(runtime, name));
    }
    // An id behind a prefix that no table has.
    if let Some((_, id)) = name.rsplit_once(['-', ':']).filter(|(_, id)| is_id(id)) {
        return Some(whole(Runtime::Unknown, id));
    }
    NAMED.iter().find_map(|(before, after, runtime)| {
        let name = part.strip_prefix(before)?.strip_suffix(after)?;
        (!name.is_empty()).then(|| whole(*runtime, name))
    })
}

/// The UID of the pod whose directory this is.
fn pod_in(part: &str) -> Option<String> {
    let name = match part.split_once(".slice") {
        Some((name, _)) => name.rsplit('-').next()?,
        None => part,
    };
    let uid = name.strip_prefix("pod")?.replace('_', "-");
    let plain = |uid: &str| uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let sound = uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    (sound && plain(&uid) == 32).then_some(uid)
}

fn is_id(text: &str) -> bool {
    text.len() == ID && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a cgroup is that of a unit of systemd.
#[expect(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "they are systemd's own names, which know no upper case, and no files"
)]
fn is_unit(part: &str) -> bool {
    part.ends_with(".service") || part.ends_with(".scope")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "6d0ee6d8-3a4b-4c5d-8e9f-0123456789ab";

    /// Unit, runtime and container, pod.
    fn whose(path: &str) -> (String, String, String) {
        let Whose {
            unit,
            container,
            pod,
        } = Whose::of(path);
        let container = container.map(|c| format!("{} {}", c.runtime.name(), c.id));
        let text = |text: Option<String>| text.unwrap_or_default();
        (text(unit), text(container), text(pod))
    }

    #[test]
    fn layouts_of_each_runtime() {
        let under = UID.replace('-', "_");
        let table = [
            // Docker: systemd, cgroupfs, rootless.
            (format!("/system.slice/docker-{ID}.scope"), "", "docker", ""),
            (format!("/docker/{ID}"), "", "docker", ""),
            (
                format!(
                    "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope"
                ),
                "user@1000.service",
                "docker",
                "",
            ),
            // Podman: systemd with crun's own cgroup below, in a pod, cgroupfs, quadlet, rootless.
            (
                format!("/machine.slice/libpod-{ID}.scope/container"),
                "",
                "podman",
                "",
            ),
            (
                format!("/machine.slice/machine-libpod_pod_{ID}.slice/libpod-{ID}.scope"),
                "",
                "podman",
                "",
            ),
            (format!("/libpod_parent/libpod-{ID}"), "", "podman", ""),
            (
                format!("/system.slice/web.service/libpod-payload-{ID}"),
                "web.service",
                "podman",
                "",
            ),
            (
                format!(
                    "/user.slice/user-1.slice/user@1.service/user.slice/libpod-{ID}.scope/container"
                ),
                "user@1.service",
                "podman",
                "",
            ),
            // Kubernetes: containerd and CRI-O by both drivers, all classes, drivers that differ.
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{ID}.scope"
                ),
                "",
                "containerd",
                UID,
            ),
            (
                format!("/kubepods.slice/kubepods-pod{under}.slice/crio-{ID}.scope"),
                "",
                "cri-o",
                UID,
            ),
            (
                format!("/kubepods/besteffort/pod{UID}/{ID}"),
                "",
                "containerd",
                UID,
            ),
            (format!("/kubepods/pod{UID}/crio-{ID}"), "", "cri-o", UID),
            (
                format!(
                    "/system.slice/containerd.service/kubepods-burstable-pod{under}.slice:cri-containerd:{ID}"
                ),
                "containerd.service",
                "containerd",
                UID,
            ),
            (
                format!("/kubepods.slice/kubepods-pod{under}.slice/docker-{ID}.scope"),
                "",
                "docker",
                UID,
            ),
            // A node that is a container, and a kubelet with a cgroup of its own.
            (
                format!(
                    "/system.slice/docker-{}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{under}.slice/cri-containerd-{ID}.scope",
                    "f".repeat(64)
                ),
                &format!("docker-{}.scope", "f".repeat(64)),
                "containerd",
                UID,
            ),
            // A container in a pod, with another within.
            (
                format!("/kubepods/pod{UID}/{}/docker/{ID}", "e".repeat(64)),
                "",
                "docker",
                "",
            ),
            (
                format!("/system.slice/nerdctl-{ID}.scope"),
                "",
                "containerd",
                "",
            ),
            (format!("/ecs/task/{ID}"), "", "container", ""),
            (format!("/garden-{ID}"), "", "container", ""),
        ];
        for (path, unit, runtime, pod) in table {
            let expected = (unit.to_owned(), format!("{runtime} {ID}"), pod.to_owned());
            assert_eq!(whose(&path), expected, "{path}");
        }
    }

    #[test]
    fn pods_have_cgroups() {
        let under = UID.replace('-', "_");
        let slice = format!("/kubepods.slice/kubepods-pod{under}.slice");
        let files = format!("/kubepods/burstable/pod{UID}");
        for (path, pod) in [
            (
                format!("{slice}/cri-containerd-{ID}.scope"),
                Some(slice.as_str()),
            ),
            (format!("{files}/{ID}/below"), Some(files.as_str())),
            (files.clone(), Some(files.as_str())),
            (
                format!("/a.service/kubepods-pod{under}.slice:cri-containerd:{ID}"),
                None,
            ),
            (format!("/docker/{ID}"), None),
        ] {
            assert_eq!(Whose::pod_path(&path), pod, "{path}");
        }
    }

    #[test]
    fn names_units_and_nothing() {
        let table = [
            ("/system.slice/nginx.service", "nginx.service", "", ""),
            ("/system.slice/db.service/workers", "db.service", "", ""),
            (
                "/user.slice/user-0.slice/session-1.scope",
                "session-1.scope",
                "",
                "",
            ),
            (
                "/lxc.payload.web/system.slice/nginx.service",
                "nginx.service",
                "lxc web",
                "",
            ),
            (
                "/machine.slice/machine-web.scope/payload",
                "",
                "machine web",
                "",
            ),
            (
                "/machine.slice/systemd-nspawn@web.service/payload/system.slice/db.service",
                "db.service",
                "machine web",
                "",
            ),
            (
                "/kubepods/pod0123456789abcdef0123456789abcdef",
                "",
                "",
                "0123456789abcdef0123456789abcdef",
            ),
            ("/kubepods.slice/kubepods-podnonsense.slice", "", "", ""),
            ("/podium", "", "", ""),
            ("/", "", "", ""),
            ("", "", "", ""),
        ];
        for (path, unit, container, pod) in table {
            let expected = (unit.to_owned(), container.to_owned(), pod.to_owned());
            assert_eq!(whose(path), expected, "{path}");
        }
        let short = Whose::of(&format!("/docker/{ID}"));
        assert_eq!(short.short_container(), Some("0123456789ab"));
        let named = Whose::of("/lxc.payload.web");
        assert_eq!(named.short_container(), Some("web"));
    }
}
