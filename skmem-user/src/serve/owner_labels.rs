//! Whose a socket is, as labels. Never an address or a port: their number has no bound.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::{
    diag::pods::Pods,
    model::whose::Whose,
    snapshot::{Row, row::Owner},
};

/// What sockets are added up by. What is not known is empty, which Prometheus takes for a label
/// that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerLabels {
    /// Kubernetes' namespace of the pod.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container's name in the pod; elsewhere 12 digits of its id, or its name.
    pub container: String,
    /// The systemd unit.
    pub unit: String,
    /// Command name of the process.
    pub comm: String,
}

/// What groups are called for which there is no room.
pub const OTHER: &str = "other";

impl OwnerLabels {
    /// All for whom there is no room.
    #[must_use]
    pub fn other() -> Self {
        Self {
            comm: OTHER.to_owned(),
            ..Self::default()
        }
    }

    /// Whether they would be called like those for whom there is no room.
    #[must_use]
    pub fn is_other(&self) -> bool {
        let Self {
            namespace,
            pod,
            container,
            unit,
            comm,
        } = self;
        let place = [namespace, pod, container, unit];
        comm == OTHER && place.iter().all(|name| name.is_empty())
    }

    /// The labels that are not empty.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("namespace", &self.namespace),
            ("pod", &self.pod),
            ("container", &self.container),
            ("unit", &self.unit),
            ("comm", &self.comm),
        ];
        all.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, value.as_str()))
    }

    /// Of a command in a cgroup.
    #[must_use]
    pub fn of(cgroup: Option<&str>, comm: &str, pods: &Pods) -> Self {
        let whose = cgroup.map(Whose::of).unwrap_or_default();
        let id = whose.container.as_ref().map(|c| c.id.as_str());
        let (pod, name) = pods.find(id, whose.pod.as_deref()).unzip();
        let container = name.flatten().or_else(|| whose.short_container());
        let container = container.unwrap_or_default();
        Self {
            namespace: pod.map_or_else(String::new, |pod| pod.namespace.clone()),
            // A pod without a name has its UID.
            pod: pod.map_or_else(
                || whose.pod.clone().unwrap_or_default(),
                |pod| pod.name.clone(),
            ),
            container: container.to_owned(),
            unit: whose.unit.unwrap_or_default(),
            comm: comm.to_owned(),
        }
    }
}

/// The path of a cgroup, and a command.
type Key = (Option<Box<str>>, Box<str>);

/// Finds whose sockets are; each group exists once.
#[derive(Debug, Default)]
pub struct Names {
    pods: Pods,
    known: HashMap<Key, Arc<OwnerLabels>>,
}

/// Combinations of cgroup and command that are remembered; with more, all are looked up again.
const MOST: usize = 10_000;

impl Names {
    /// With the pods of this node.
    #[must_use]
    pub fn new(pods: Pods) -> Self {
        Self {
            pods,
            known: HashMap::new(),
        }
    }

    /// Before each look.
    pub fn refresh(&mut self) {
        let before = self.pods.generation();
        self.pods.refresh();
        // The name of a pod may come after its first socket.
        if self.pods.generation() != before || self.known.len() > MOST {
            self.known.clear();
        }
    }

    /// Whose the sockets of a command in a cgroup are.
    pub fn of(&mut self, cgroup: Option<&str>, comm: &str) -> Arc<OwnerLabels> {
        let key = (cgroup.map(Box::from), Box::from(comm));
        let pods = &self.pods;
        let who = self
            .known
            .entry(key)
            .or_insert_with(|| Arc::new(OwnerLabels::of(cgroup, comm, pods)));
        Arc::clone(who)
    }

    /// Whose the socket of a row is.
    pub fn of_row(&mut self, row: &Row) -> Arc<OwnerLabels> {
        let comm = match row.holders.first() {
            Some(holder) => &*holder.comm,
            None => without_process(row.owner),
        };
        self.of(row.cgroup.as_deref(), comm)
    }
}

/// What stands in the place of a command where no process holds the socket.
fn without_process(owner: Owner) -> &'static str {
    match owner {
        Owner::NotAccepted => "(not accepted)",
        Owner::Orphan => "(orphan)",
        Owner::NotPermitted => "(not permitted)",
        Owner::Process | Owner::NotFound | Owner::NotAsked => "(unknown)",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::diag::pods::tests::{NGINX, PAUSE, UID, node};

    #[test]
    fn labels_of_pods_containers_and_units() {
        let root = node();
        let mut names = Names::new(Pods::below(root.path()));
        names.refresh();
        let mut labels = |path: &str| {
            let who = names.of(Some(path), "nginx");
            let labels = who.labels().map(|(name, value)| format!("{name}={value}"));
            labels.collect::<Vec<_>>().join(" ")
        };
        let pod = format!("kubepods.slice/kubepods-pod{}.slice", UID.replace('-', "_"));
        assert_eq!(
            labels(&format!("/{pod}/cri-containerd-{NGINX}.scope")),
            "namespace=shop pod=web-0 container=nginx comm=nginx"
        );
        // The pause container has no log.
        assert_eq!(
            labels(&format!("/{pod}/cri-containerd-{PAUSE}.scope")),
            "namespace=shop pod=web-0 container=cdcdcdcdcdcd comm=nginx"
        );
        let unknown = UID.replace('6', "7");
        assert_eq!(
            labels(&format!("/kubepods/pod{unknown}/{NGINX}")),
            "namespace=shop pod=web-0 container=nginx comm=nginx"
        );
        assert_eq!(
            labels(&format!("/kubepods/pod{unknown}/{PAUSE}")),
            format!("pod={unknown} container=cdcdcdcdcdcd comm=nginx")
        );
        assert_eq!(
            labels("/system.slice/nginx.service"),
            "unit=nginx.service comm=nginx"
        );
        assert_eq!(
            labels(&format!("/docker/{NGINX}")),
            "namespace=shop pod=web-0 container=nginx comm=nginx"
        );
        let nowhere = OwnerLabels::of(None, "curl", &Pods::below(Path::new("/no/such/root")));
        assert_eq!(nowhere.labels().collect::<Vec<_>>(), [("comm", "curl")]);
    }
}
