//! Sockets added up by process, command, user, port, cgroup, namespace, state or peer.

use std::{collections::HashMap, path::Path};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::row::{Owner, Row};
use crate::{decode::reading::state_name, diag::pods::Pods, model::whose::Whose};

/// What one line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GroupBy {
    /// Each socket by itself
    Socket,
    /// The process that holds it; of several, the one with the lowest pid
    Process,
    /// The command name of the process that holds it: all workers of a service together
    Comm,
    /// The user whose socket it is
    User,
    /// The service's port: that of a listener, and the lower one of a connection's two
    Port,
    /// The cgroup in which it was made: container, service
    Cgroup,
    /// The systemd unit of that cgroup
    Unit,
    /// The container of that cgroup: Docker, Podman, containerd, CRI-O, LXC, systemd-nspawn
    Container,
    /// The Kubernetes pod of that cgroup, by its name where the kubelet keeps logs here
    Pod,
    /// The network namespace
    Netns,
    /// The TCP state
    State,
    /// The remote address, all ports together
    Remote,
}

/// Sums over the sockets of one group. Bytes, except counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// What they have in common
    pub key: String,
    /// How many sockets
    pub sockets: u64,
    /// w + r + f
    pub charged: i64,
    /// w
    pub wmem_queued: i64,
    /// r
    pub rmem_alloc: i64,
    /// f
    pub forward_alloc: i64,
    /// t
    pub wmem_alloc: i64,
    /// Application data in w
    pub payload: i64,
    /// w less payload
    pub skb_overhead: i64,
    /// Written and never sent
    pub unsent: i64,
    /// Sent and not acknowledged
    pub in_flight: i64,
    /// Received and not read, payload
    pub recv_q: i64,
    /// Packets dropped; a count
    pub drops: u64,
    /// Sockets whose send buffer is full (w at or over sndbuf); a count
    pub full: u64,
    /// Change of `charged` since the last look, with `--watch`
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub change: Option<i64>,
}

impl Group {
    fn add(&mut self, row: &Row) {
        let some = |value: Option<u32>| i64::from(value.unwrap_or(0));
        self.sockets += 1;
        self.charged += row.charged;
        self.wmem_queued += row.bytes(|m| m.wmem_queued);
        self.rmem_alloc += row.bytes(|m| m.rmem_alloc);
        self.forward_alloc += row.bytes(|m| m.forward_alloc);
        self.wmem_alloc += row.bytes(|m| m.wmem_alloc);
        self.payload += some(row.payload);
        self.skb_overhead += some(row.skb_overhead);
        self.unsent += some(row.unsent);
        self.in_flight += some(row.in_flight);
        self.recv_q += if row.listens() {
            0
        } else {
            i64::from(row.recv_q)
        };
        self.drops += row.memory.map_or(0, |m| u64::from(m.drops));
        self.full += u64::from(row.fill_percent.is_some_and(|fill| fill >= 100));
    }
}

/// Adds up, the group that is charged most first. `names` are those of namespaces.
#[must_use]
pub fn group(
    rows: &[Row],
    by: GroupBy,
    names: &HashMap<u64, String>,
    known: &KeyNames,
) -> Vec<Group> {
    let mut groups: HashMap<String, Group> = HashMap::new();
    for row in rows {
        let key = key(row, by, names, known);
        groups.entry(key).or_default().add(row);
    }
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|(key, group)| Group { key, ..group })
        .collect();
    groups.sort_unstable_by(|a, b| (b.charged, &a.key).cmp(&(a.charged, &b.key)));
    groups
}

/// What a socket without a process is called.
#[must_use]
pub fn ownerless(owner: Owner) -> &'static str {
    match owner {
        Owner::Process => "a process",
        Owner::NotAccepted => "not accepted yet",
        Owner::Orphan => "orphan: closed, kernel finishes it",
        Owner::NotPermitted => "owner not permitted to be seen",
        Owner::NotFound => "no process holds it",
        Owner::NotAsked => "owner not asked",
    }
}

/// Names of users, from `/etc/passwd` alone: a static program asks no name service.
fn users() -> HashMap<u32, String> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    text.lines().filter_map(user).collect()
}

/// Names of users and pods, by key, where a row does not hold them.
#[derive(Debug, Default)]
pub struct KeyNames {
    users: HashMap<u32, String>,
    pods: Pods,
}

impl KeyNames {
    /// Of the machine whose root directory is `root`. [`KeyNames::refresh`] reads.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            pods: Pods::below(root),
            ..Self::default()
        }
    }

    /// Before each look: reads what keys of this kind are called by.
    pub fn refresh(&mut self, by: GroupBy) {
        match by {
            GroupBy::User => self.users = users(),
            GroupBy::Pod => self.pods.refresh(),
            _ => {}
        }
    }

    /// `NAMESPACE/POD`; the pod's UID where nothing names it.
    fn pod(&self, whose: &Whose) -> Option<String> {
        let container = whose.container.as_ref().map(|c| c.id.as_str());
        match self.pods.find(container, whose.pod.as_deref()) {
            Some((pod, _)) => Some(format!("{}/{}", pod.namespace, pod.name)),
            None => whose.pod.clone(),
        }
    }
}

pub(crate) fn key(
    row: &Row,
    by: GroupBy,
    names: &HashMap<u64, String>,
    known: &KeyNames,
) -> String {
    match by {
        GroupBy::Socket => format!("cookie {}", row.cookie),
        GroupBy::Process => match row.holders.first() {
            Some(holder) => format!("{} (pid {})", holder.comm, holder.pid),
            None => ownerless(row.owner).to_owned(),
        },
        GroupBy::Comm => match row.holders.first() {
            Some(holder) => holder.comm.to_string(),
            None => ownerless(row.owner).to_owned(),
        },
        GroupBy::User => match known.users.get(&row.uid) {
            Some(name) => format!("{name} (uid {})", row.uid),
            None => format!("uid {}", row.uid),
        },
        GroupBy::Port => match (row.listens(), row.sport, row.dport) {
            (true, port, _) | (_, port, 0) => port.to_string(),
            (_, ours, theirs) => ours.min(theirs).to_string(),
        },
        GroupBy::Cgroup => match (&row.cgroup, row.cgroup_id) {
            (Some(path), _) => path.clone(),
            (None, Some(id)) => format!("cgroup {id}, which is gone or not mounted here"),
            (None, None) => "kernel reports no cgroup".to_owned(),
        },
        GroupBy::Unit | GroupBy::Container | GroupBy::Pod => {
            let Some(path) = &row.cgroup else {
                return key(row, GroupBy::Cgroup, names, known);
            };
            let whose = Whose::of(path);
            let found = match by {
                GroupBy::Unit => whose.unit,
                GroupBy::Container => whose
                    .container
                    .as_ref()
                    .zip(whose.short_container())
                    .map(|(container, short)| format!("{} {short}", container.runtime.name())),
                _ => known.pod(&whose),
            };
            found.unwrap_or_else(|| match by {
                GroupBy::Unit => format!("no unit: {path}"),
                GroupBy::Container => "no container".to_owned(),
                _ => "no pod".to_owned(),
            })
        }
        GroupBy::Netns => match names.get(&row.netns) {
            Some(name) => format!("{} ({name})", row.netns),
            None => row.netns.to_string(),
        },
        GroupBy::State if row.listens() || row.protocol != crate::diag::Protocol::Udp => {
            state_name(row.state).to_owned()
        }
        GroupBy::State => "UDP".to_owned(),
        GroupBy::Remote if row.listens() => "listening".to_owned(),
        GroupBy::Remote => row.dst.to_canonical().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diag::{
            TcpState,
            pods::tests::{NGINX, PAUSE, UID, node},
        },
        testing::rows::{mem, socket},
    };

    #[test]
    fn groups_add_up_and_the_heaviest_comes_first() {
        let row = |state, w| Row::new(&socket(state, mem(w, 1, 2, 10)), 7);
        let rows = [
            row(TcpState::Established, 5),
            row(TcpState::CloseWait, 100),
            row(TcpState::Established, 20),
        ];
        let mut known = KeyNames::below(Path::new("/"));
        known.refresh(GroupBy::User);
        let group = |by, names: &HashMap<u64, String>| group(&rows, by, names, &known);
        let groups = group(GroupBy::State, &HashMap::new());
        let keys: Vec<_> = groups
            .iter()
            .map(|g| (g.key.as_str(), g.sockets, g.charged))
            .collect();
        assert_eq!(keys, [("CLOSE-WAIT", 1, 103), ("ESTABLISHED", 2, 31)]);
        assert_eq!((groups[0].full, groups[1].full), (1, 1));
        let names = HashMap::from([(7, "blue".to_owned())]);
        assert_eq!(group(GroupBy::Netns, &names)[0].key, "7 (blue)");
        assert_eq!(group(GroupBy::Remote, &names)[0].key, "10.0.0.2");
        assert_eq!(group(GroupBy::Process, &names)[0].key, "owner not asked");
        assert_eq!(group(GroupBy::Comm, &names)[0].key, "owner not asked");
        assert_eq!(group(GroupBy::Port, &names)[0].key, "1");
        assert!(group(GroupBy::User, &names)[0].key.contains("uid 0"));
        let id = "ab".repeat(32);
        let uid = "6d0ee6d8-3a4b-4c5d-8e9f-0123456789ab";
        let mut row = row(TcpState::Established, 5);
        row.cgroup = Some(format!("/system.slice/web.service/libpod-payload-{id}"));
        let keys = |row: &Row| {
            let all = [GroupBy::Unit, GroupBy::Container, GroupBy::Pod];
            all.map(|by| key(row, by, &names, &KeyNames::default()))
        };
        assert_eq!(keys(&row), ["web.service", "podman abababababab", "no pod"]);
        row.cgroup = Some(format!("/kubepods/pod{uid}/{id}"));
        let path = row.cgroup.clone().unwrap();
        let expected = [&format!("no unit: {path}"), "containerd abababababab", uid];
        assert_eq!(keys(&row), expected);
    }

    #[test]
    fn pods_have_the_names_of_their_logs() {
        let row = |cgroup: String| {
            let row = Row::new(&socket(TcpState::Established, mem(5, 1, 2, 10)), 7);
            let cgroup = Some(cgroup);
            Row { cgroup, ..row }
        };
        let under = UID.replace('-', "_");
        let other = UID.replace('6', "7");
        let rows = [
            row(format!("/kubepods/pod{UID}/{NGINX}")),
            row(format!(
                "/kubepods.slice/kubepods-pod{under}.slice/cri-containerd-{PAUSE}.scope"
            )),
            row(format!("/kubepods/pod{other}/{PAUSE}")),
            row("/system.slice/nginx.service".to_owned()),
        ];
        let root = node();
        let mut known = KeyNames::below(root.path());
        known.refresh(GroupBy::Pod);
        let groups = group(&rows, GroupBy::Pod, &HashMap::new(), &known);
        let keys = groups.iter().map(|g| (g.key.as_str(), g.sockets));
        let expected = [(other.as_str(), 1), ("no pod", 1), ("shop/web-0", 2)];
        let mut keys: Vec<_> = keys.collect();
        keys.sort_unstable();
        assert_eq!(keys, expected);
    }
}
