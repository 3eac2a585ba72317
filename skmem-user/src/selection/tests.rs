//! What a selection says of a socket that is made by hand.

use super::*;

#[derive(Default)]
struct Socket {
    ports: (u16, u16),
    cgroup: Option<&'static str>,
    users: Vec<(u32, &'static str)>,
}

impl Subject for Socket {
    fn port(&self, end: End) -> Option<Port> {
        Some(Port::Number(match end {
            End::Local => self.ports.0,
            End::Remote => self.ports.1,
        }))
    }

    fn address(&self, end: End) -> Option<IpAddr> {
        (end == End::Remote).then(|| IpAddr::from([10, 0, 0, 7]))
    }

    fn is_in(&self, netns: &Netns) -> bool {
        netns.is(5, Some("blue"))
    }

    fn cgroup(&self) -> Option<&str> {
        self.cgroup
    }

    fn state(&self) -> Option<TcpState> {
        Some(TcpState::Established)
    }

    fn is_used_by(&self, wanted: &dyn Fn(u32, &str) -> bool) -> bool {
        self.users.iter().any(|(pid, comm)| wanted(*pid, comm))
    }
}

#[test]
fn all_parts_must_hold() {
    let socket = Socket {
        ports: (40_000, 80),
        cgroup: Some("/x/y"),
        users: vec![(3, "a"), (4, "b")],
    };
    assert!(Selection::default().holds(&socket));
    let all = Selection {
        pids: vec![2, 3],
        comms: vec!["z".into(), "b".into()],
        cgroup: Some(Cgroup::named("/x")),
        netns: Some(Netns::Inode(5)),
        sport: Some(Port::Number(40_000)),
        dport: Some(Port::Number(80)),
        dst: Some("10.0.0.0/8".parse().unwrap()),
        states: vec![TcpState::Established],
        ..Selection::default()
    };
    assert!(all.holds(&socket));
    let changes: [fn(&mut Selection); 10] = [
        |s| s.pids = vec![9],
        |s| s.comms = vec!["c".into()],
        |s| s.cgroup = Some(Cgroup::named("/x/yy")),
        |s| s.netns = Some(Netns::Inode(6)),
        |s| s.netns = Some(Netns::Name("red".into())),
        |s| s.sport = Some(Port::Number(40_001)),
        |s| s.dport = Some(Port::Service("http".into())),
        |s| s.dst = Some("10.0.0.8".parse().unwrap()),
        // What is not known is not what was asked for.
        |s| s.src = Some("0.0.0.0/0".parse().unwrap()),
        |s| s.states = vec![TcpState::Listen],
    ];
    for (n, change) in changes.iter().enumerate() {
        let mut other = all.clone();
        change(&mut other);
        assert!(!other.holds(&socket), "{n}: {other:?}");
    }
    // A process by its id or by its name.
    let named = Selection {
        names: vec!["b".into()],
        pids: vec![9],
        ..Selection::default()
    };
    assert!(named.holds(&socket));
}

#[test]
fn cgroups_hold_what_is_below_them() {
    let holds = |cgroup: &str, path: &str| Cgroup::named(cgroup).holds(path);
    let id = "3f2a9c0d1e4b3f2a9c0d1e4b";
    let scope = format!("/system.slice/docker-{id}.scope/init");
    for (cgroup, path) in [
        ("/", "/"),
        ("/", "/x"),
        ("/x/", "/x/y"),
        ("nginx.service", "/system.slice/nginx.service"),
        ("nginx.service", "/system.slice/nginx.service/workers"),
        (&id[..12], &scope),
    ] {
        assert!(holds(cgroup, path), "{path} is in {cgroup}");
    }
    for (cgroup, path) in [
        ("/x", "/xy"),
        ("/x", "/"),
        ("nginx.service", "/system.slice/my-nginx.service"),
        (&id[..11], &scope),
    ] {
        assert!(!holds(cgroup, path), "{path} is not in {cgroup}");
    }
}

#[test]
fn the_kernel_is_asked_for_the_same() {
    let selection = Selection {
        pids: vec![7],
        comms: vec!["a-name-of-15-by".into()],
        cgroup: Some(Cgroup {
            path: "/x".into(),
            id: 77,
            level: 1,
        }),
        netns: Some(Netns::Inode(5)),
        dport: Some(Port::Number(443)),
        src: Some("10.0.0.0/8".parse().unwrap()),
        ..Selection::default()
    };
    let filter = selection.filter();
    let flags = BY_PID | BY_COMM | BY_CGROUP | BY_NETNS | BY_DPORT | BY_SADDR;
    assert_eq!(filter.flags, flags);
    assert_eq!((filter.cgroup, filter.cgroup_level), (77, 1));
    assert_eq!((filter.netns, filter.sport, filter.dport), (5, 0, 443));
    assert_eq!(filter.saddr, selection.src.unwrap().prefix());
    assert_eq!(&selection.padded_comms()[0], b"a-name-of-15-by\0");
    assert_eq!(Selection::default().filter(), Filter::default());
}
