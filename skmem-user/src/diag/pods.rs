//! Names of Kubernetes' pods and containers, without its API: from the names of the logs that the
//! kubelet keeps on each node.
//!
//! * `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/` (`buildPodLogsDirectory` in the kubelet, 1.14 on)
//! * `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log` (`logSymlink`); the kernel's limit of 255
//!   bytes cuts the id of a long one, which then says nothing
//!
//! None of these names holds a `_`: they are DNS labels.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A container of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InPod {
    /// The pod.
    pub pod: Pod,
    /// The container's name in it.
    pub container: String,
}

/// The pods of this node.
#[derive(Debug, Default)]
pub struct Pods {
    root: PathBuf,
    by_uid: HashMap<String, Pod>,
    by_container: HashMap<String, InPod>,
    /// When the two directories changed last, as they were when they were read.
    read: [Option<SystemTime>; 2],
    generation: u64,
}

const PODS: &str = "var/log/pods";
const CONTAINERS: &str = "var/log/containers";
/// Digits of a container's id.
const ID: usize = 64;

impl Pods {
    /// Of the node whose root directory is `root`: `/`, or where a container has it mounted.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            ..Self::default()
        }
    }

    /// Reads the directories again, where something was added or taken away. Where there are none,
    /// there are no pods.
    pub fn refresh(&mut self) {
        let dirs = [PODS, CONTAINERS].map(|dir| self.root.join(dir));
        let changed = dirs
            .each_ref()
            .map(|dir| fs::metadata(dir).and_then(|meta| meta.modified()).ok());
        if changed == self.read {
            return;
        }
        self.by_uid = names(&dirs[0]).filter_map(|name| of_pod(&name)).collect();
        self.by_container = names(&dirs[1])
            .filter_map(|name| of_container(&name))
            .collect();
        self.read = changed;
        self.generation += 1;
    }

    /// Another number each time that names were read.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The pod of a container, by the container's id, or else by the pod's UID; and the container's
    /// name in it, where its log is here.
    #[must_use]
    pub fn find(&self, container: Option<&str>, uid: Option<&str>) -> Option<(&Pod, Option<&str>)> {
        match container.and_then(|id| self.by_container.get(id)) {
            Some(named) => Some((&named.pod, Some(&named.container))),
            None => Some((self.by_uid.get(uid?)?, None)),
        }
    }
}

fn names(dir: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name())
        .filter_map(|name: OsString| name.into_string().ok())
}

/// `NAMESPACE_POD_UID`
fn of_pod(name: &str) -> Option<(String, Pod)> {
    let mut parts = name.split('_');
    let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && ![namespace, pod, uid].contains(&"");
    whole.then(|| {
        let pod = Pod {
            namespace: namespace.to_owned(),
            name: pod.to_owned(),
        };
        (uid.to_owned(), pod)
    })
}

/// `POD_NAMESPACE_CONTAINER-ID.log`
fn of_container(name: &str) -> Option<(String, InPod)> {
    let mut parts = name.strip_suffix(".log")?.split('_');
    let (pod, namespace, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (container, id) = rest.rsplit_once('-')?;
    let sound = id.len() == ID && id.bytes().all(|b| b.is_ascii_hexdigit());
    (sound && parts.next().is_none()).then(|| {
        let named = InPod {
            pod: Pod {
                namespace: namespace.to_owned(),
                name: pod.to_owned(),
            },
            container: container.to_owned(),
        };
        (id.to_owned(), named)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Container `nginx` of [`node`]'s pod.
    pub(crate) const NGINX: &str =
        "abababababababababababababababababababababababababababababababab";
    /// The pause container of the same pod, which has no log.
    pub(crate) const PAUSE: &str =
        "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";
    /// The pod's UID.
    pub(crate) const UID: &str = "6d0ee6d8-3a4b-4c5d-8e9f-0123456789ab";

    /// The root directory of a node with the pod `web-0` in the namespace `shop`.
    pub(crate) fn node() -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at(&format!("{PODS}/shop_web-0_{UID}/nginx"))).unwrap();
        fs::create_dir_all(at(CONTAINERS)).unwrap();
        fs::write(
            at(&format!("{CONTAINERS}/web-0_shop_nginx-{NGINX}.log")),
            "",
        )
        .unwrap();
        root
    }

    #[test]
    fn names_of_logs_are_names_of_pods() {
        let root = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef".repeat(4);
        let uid = UID;
        let mut pods = Pods::below(root.path());
        pods.refresh();
        assert_eq!(pods.find(None, Some(uid)), None);
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at(&format!("{PODS}/shop_web-7d4b9c-x2x_{uid}/nginx-proxy"))).unwrap();
        fs::create_dir_all(at(&format!("{PODS}/not-a-pod"))).unwrap();
        fs::create_dir_all(at(CONTAINERS)).unwrap();
        for name in [
            format!("web-7d4b9c-x2x_shop_nginx-proxy-{id}.log"),
            // Cut at 255 bytes.
            format!("long_shop_nginx-{}.log", &id[..40]),
            "readme.txt".to_owned(),
        ] {
            fs::write(at(&format!("{CONTAINERS}/{name}")), "").unwrap();
        }
        pods.refresh();
        let pod = Pod {
            namespace: "shop".into(),
            name: "web-7d4b9c-x2x".into(),
        };
        assert_eq!(pods.find(None, Some(uid)), Some((&pod, None)));
        let named = Some((&pod, Some("nginx-proxy")));
        assert_eq!(pods.find(Some(&id), None), named);
        assert_eq!(pods.find(Some(&id), Some("another")), named);
        assert_eq!(pods.find(Some("another"), Some(uid)), Some((&pod, None)));
        assert_eq!(pods.find(Some("another"), None), None);
        assert_eq!((pods.by_uid.len(), pods.by_container.len()), (1, 1));
        // What goes is forgotten.
        fs::remove_dir_all(at(&format!("{PODS}/shop_web-7d4b9c-x2x_{uid}"))).unwrap();
        pods.read = [None; 2];
        pods.refresh();
        assert_eq!(pods.find(None, Some(uid)), None);
    }
}
