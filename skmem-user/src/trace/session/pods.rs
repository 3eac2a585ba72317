//! The pods of verdicts' sockets, by their names on this machine.

use std::path::Path;

use crate::{
    diag::pods::Pods,
    explain::{Verdict, verdict::Socket},
    model::whose::Whose,
};

/// Names the pods and the containers that sockets are of, as their logs below `root` do, the root
/// directory of the machine. Nothing is read where no socket is a container's.
pub(super) fn name(verdicts: &mut [Verdict], root: &Path) {
    let mut read = None;
    for socket in verdicts.iter_mut().map(|verdict| &mut verdict.socket) {
        let whose = socket.cgroup.as_deref().map(Whose::of).unwrap_or_default();
        if whose.container.is_none() && whose.pod.is_none() {
            continue;
        }
        let pods = read.get_or_insert_with(|| {
            let mut pods = Pods::below(root);
            pods.refresh();
            pods
        });
        name_one(socket, &whose, pods);
    }
}

fn name_one(socket: &mut Socket, whose: &Whose, pods: &Pods) {
    let id = whose.container.as_ref().map(|c| c.id.as_str());
    let Some((pod, container)) = pods.find(id, whose.pod.as_deref()) else {
        return;
    };
    socket.pod = Some(pod.name.clone());
    socket.namespace = Some(pod.namespace.clone());
    socket.container_name = container.map(str::to_owned);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diag::pods::tests::{NGINX, PAUSE, UID, node},
        render::{Style, text},
        testing::socket::article,
    };

    /// Pod, namespace and container's name of a socket in this cgroup, and the words of its text.
    fn named(cgroup: &str, root: &Path) -> (serde_json::Value, String) {
        let mut verdict = article(896).verdict();
        let socket = &mut verdict.socket;
        socket.cgroup = Some(cgroup.to_owned());
        socket.container = Whose::of(cgroup).container.map(|container| container.id);
        socket.unit = Whose::of(cgroup).unit;
        name(std::slice::from_mut(&mut verdict), root);
        let json = serde_json::to_value(&verdict.socket).unwrap();
        let names = ["namespace", "pod", "container_name"].map(|key| json[key].clone());
        let text = text(&verdict, &Style::PLAIN);
        let words: Vec<_> = text.split_whitespace().collect();
        (names.into(), words.join(" "))
    }

    #[test]
    fn pods_are_named_by_their_logs() {
        let root = node();
        let nginx = format!("/kubepods/pod{UID}/{NGINX}");
        let table = [
            (
                nginx.clone(),
                [Some("shop"), Some("web-0"), Some("nginx")],
                "pid 123, pod shop/web-0, container nginx (abababababab) socket",
            ),
            (
                format!("/kubepods/pod{UID}/{PAUSE}"),
                [Some("shop"), Some("web-0"), None],
                "pid 123, pod shop/web-0, container cdcdcdcdcdcd socket",
            ),
            (
                format!("/kubepods/pod{UID}"),
                [Some("shop"), Some("web-0"), None],
                "pid 123, pod shop/web-0 socket",
            ),
            (
                format!("/kubepods/pod{}/{PAUSE}", UID.replace('6', "7")),
                [None; 3],
                "pid 123, container cdcdcdcdcdcd socket",
            ),
            (
                "/system.slice/nginx.service".to_owned(),
                [None; 3],
                "pid 123, unit nginx.service socket",
            ),
        ];
        for (cgroup, names, words) in table {
            let (found, text) = named(&cgroup, root.path());
            assert_eq!(found, serde_json::json!(names), "{cgroup}");
            assert!(text.contains(words), "{cgroup}: {words}: {text}");
        }
        // A machine without Kubernetes.
        let (found, text) = named(&nginx, Path::new("/no/such/root"));
        assert_eq!(found, serde_json::json!([null, null, null]));
        assert!(text.contains("pid 123, container abababababab socket"));
    }
}
