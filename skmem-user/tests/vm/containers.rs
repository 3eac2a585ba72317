//! Real containers, by Podman and crun: their sockets are counted as theirs, by each way in which
//! Podman makes cgroups; and skmem in one of them, with what the DaemonSet gives it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::{
    binary::parsed,
    case::SKMEM,
    check::Check,
    metrics::{self, Metrics},
    process::{Process, is_over, status, wait_for},
    sender::ROLE,
    serving::{Client, Serving},
    standing::{STANDING, Stands},
    units::succeeds,
};

pub fn trials() -> Vec<Trial> {
    let ways: [(&str, &[&str], &str); 3] = [
        (
            "systemd",
            &["--cgroup-manager=systemd", "run"],
            "/machine.slice/libpod-ID.scope/",
        ),
        (
            "cgroupfs",
            &["--cgroup-manager=cgroupfs", "run"],
            "/libpod_parent/libpod-ID",
        ),
        (
            "in-a-unit",
            &["run", "--cgroups=split"],
            "/system.slice/web.service/libpod-payload-ID",
        ),
    ];
    let trial = |(name, begin, path): (&'static str, &'static [&str], &'static str)| {
        Trial::test(format!("containers::podman-{name}"), move || {
            counted(name, begin, path)
        })
    };
    let mut trials: Vec<Trial> = ways.map(trial).into();
    trials.push(Trial::test(
        "containers::the-daemonsets-rights-suffice",
        daemonset,
    ));
    trials
}

const DAEMONSET: &str = include_str!("../../../packaging/kubernetes/skmem.yaml");

/// Where Podman keeps what it keeps: overlays do not lie on the file system of a guest.
const STORAGE: &str = "[storage]\n\
    driver = \"vfs\"\n\
    runroot = \"/run/containers/storage\"\n\
    graphroot = \"/var/lib/containers/storage\"\n";

fn configure() -> Result<(), Failed> {
    fs::create_dir_all("/etc/containers")?;
    Ok(fs::write("/etc/containers/storage.conf", STORAGE)?)
}

/// A container with a sender in it; it ends with the trial.
struct Container {
    podman: Child,
    name: String,
    /// What the sender writes.
    file: PathBuf,
}

impl Container {
    /// `begin` is how Podman is called; in a unit: `web.service`.
    fn start(room: &Path, name: &str, begin: &[&str], unit: Option<&str>) -> Result<Self, Failed> {
        configure()?;
        // All that is in it is a program that needs nothing else.
        let root = room.join("root");
        fs::create_dir_all(root.join("bin"))?;
        fs::copy(env::current_exe()?, root.join("bin/sender"))?;
        let shared = room.join("shared");
        fs::create_dir(&shared)?;
        let name = format!("trial-{name}");
        let mut command = match unit {
            None => Command::new("podman"),
            Some(unit) => {
                let mut command = Command::new("systemd-run");
                command
                    .args(["--pipe", "--collect", "--quiet", "--property=Delegate=yes"])
                    .arg(format!("--unit={unit}"))
                    .arg("podman");
                command
            }
        };
        let podman = command
            .args(begin)
            .args(["--rm", "--interactive", "--network=none"])
            .arg(format!("--name={name}"))
            .arg(format!("--volume={}:/shared", shared.display()))
            .arg(format!("--env={ROLE}={STANDING}/shared/stands"))
            .arg("--rootfs")
            .arg(&root)
            .arg("/bin/sender")
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self {
            podman,
            name,
            file: shared.join("stands"),
        })
    }

    /// What `podman inspect` says of it.
    fn inspect(&self, what: &str) -> Result<String, Failed> {
        succeeds("podman", &["inspect", "--format", what, &self.name])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = succeeds("podman", &["rm", "--force", "--time=0", &self.name]);
        drop(self.podman.stdin.take());
        let _ = self.podman.wait();
    }
}

fn counted(name: &str, begin: &[&str], path: &str) -> Result<(), Failed> {
    let mut check = Check::default();
    let room = tempfile::tempdir()?;
    let unit = path.contains("web.service").then_some("web.service");
    let serving = Serving::start(SKMEM, &["--interval", "500ms"]);
    let container = Container::start(room.path(), name, begin, unit)?;
    let there = wait_for(|| Stands::read(&container.file).is_some());
    check.that(there, || "no sender in the container".to_owned());
    let id = container.inspect("{{.Id}}")?;
    check.equal("digits of its id", id.len(), 64);
    let pid = container.inspect("{{.State.Pid}}")?;
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = path.replace("ID", &id);
    check.that(cgroup.contains(&path), || format!("{cgroup}, not {path}"));

    // As its metrics have it, from a network namespace that nothing else is in.
    let short = &id[..12];
    let mut whose = format!("container=\"{short}\"");
    if let Some(unit) = unit {
        whose = format!("{whose},unit=\"{unit}\"");
    }
    let metrics = Metrics {
        prometheus: None,
        whose: format!("{whose},comm=\"sender\""),
    };
    let mut last = String::new();
    let there = wait_for(|| metrics.agree(&serving, &container.file, &mut last));
    check.that(there, || {
        format!("{whose}: {last}\n{}", serving.get("/metrics").body)
    });

    let by = |by: &str| -> Result<Vec<Value>, Failed> {
        let text = succeeds(SKMEM, &["snapshot", "--by", by, "--all-netns", "--json"])?;
        let look = parsed("snapshot", &text)?;
        Ok(look["groups"].as_array().cloned().unwrap_or_default())
    };
    let groups = by("container")?;
    let key = format!("podman {short}");
    let group = groups
        .iter()
        .find(|group| group["key"].as_str() == Some(&key));
    check.that(
        group.is_some_and(|group| group["wmem_queued"].as_i64() > Some(0)),
        || format!("snapshot --by container has no {key}: {groups:?}"),
    );
    if let Some(unit) = unit {
        let groups = by("unit")?;
        let found = groups
            .iter()
            .any(|group| group["key"].as_str() == Some(unit));
        check.that(found, || {
            format!("snapshot --by unit has no {unit}: {groups:?}")
        });
    }
    check.done()
}

/// What the DaemonSet asks Kubernetes for, as Podman takes it: rights, arguments, mounts.
struct Asked {
    rights: Vec<String>,
    arguments: Vec<String>,
    mounts: Vec<String>,
}

impl Asked {
    fn read() -> Self {
        // The items of a list that lies below this name.
        let list = |name: &str| -> Vec<&str> {
            let lines = DAEMONSET.lines().map(str::trim);
            let below = lines.skip_while(|line| *line != name).skip(1);
            let items = below.map_while(|line| line.strip_prefix("- "));
            items.collect()
        };
        let first = |text: &&str| text.split(' ').next().unwrap_or_default().to_owned();
        let mount = |text: &&str| {
            let (_, rest) = text.split_once("mountPath: ")?;
            let (at, rest) = rest.split_once(", ")?;
            let read_only = rest.starts_with("readOnly: true");
            let of = at.strip_prefix("/host")?;
            Some(format!("{of}:{at}{}", if read_only { ":ro" } else { "" }))
        };
        Self {
            rights: list("add:").iter().map(first).collect(),
            arguments: list("args:").iter().map(first).collect(),
            mounts: list("volumeMounts:").iter().filter_map(mount).collect(),
        }
    }
}

/// skmem itself in a container that has what the DaemonSet gives it, and Podman's filter of system
/// calls besides: it traces, and counts another container's socket.
fn daemonset() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = tempfile::tempdir()?;
    let asked = Asked::read();
    check.that(
        asked.rights.len() > 3 && asked.arguments.len() > 2 && asked.mounts.len() > 1,
        || {
            format!(
                "{:?} {:?} {:?}",
                asked.rights, asked.arguments, asked.mounts
            )
        },
    );
    configure()?;
    let root = room.path().join("skmem");
    fs::create_dir_all(root.join("bin"))?;
    fs::copy("/usr/local/bin/skmem", root.join("bin/skmem"))?;
    let mut podman = Command::new("podman");
    podman
        .args([
            "run",
            "--rm",
            "--name=trial-skmem",
            "--network=host",
            "--pid=host",
        ])
        .args(["--read-only", "--cap-drop=all"])
        .args(asked.rights.iter().map(|name| format!("--cap-add={name}")));
    for mount in &asked.mounts {
        let (of, _) = mount.split_once(':').unwrap_or_default();
        fs::create_dir_all(of)?;
        podman.arg(format!("--volume={mount}"));
    }
    let arguments = asked.arguments.iter();
    let mut skmem = Process::start(
        podman
            .arg("--rootfs")
            .arg(&root)
            .arg("/bin/skmem")
            .args(arguments.map(|text| text.replace("$(NODE_ADDRESS)", "127.0.0.1")))
            .stdin(Stdio::null()),
    )?;
    let end = End("trial-skmem");
    let client = Client {
        address: "127.0.0.1:9464".to_owned(),
    };
    let ready = "GET /readyz HTTP/1.0\r\n\r\n";
    let serves = || metrics::asked(&client, ready).is_ok_and(|answer| answer.status == 200);
    let mut over = false;
    let there = wait_for(|| {
        over = is_over(&status(skmem.pid()));
        over || serves()
    });
    if over || !there {
        // Podman's output ends with its container.
        drop(end);
        let output = skmem.kill()?;
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("it does not serve: {said}").into());
    }
    let text = client.get("/metrics").body;
    check.that(text.contains("\nskmem_tracing 1\n"), || text.clone());
    if !check.is_good() {
        return check.done();
    }

    let container = Container::start(room.path(), "beside", &["run"], None)?;
    let there = wait_for(|| Stands::read(&container.file).is_some());
    check.that(there, || "no sender in the container".to_owned());
    let id = container.inspect("{{.Id}}")?;
    let metrics = Metrics {
        prometheus: None,
        whose: format!("container=\"{}\",comm=\"sender\"", &id[..12]),
    };
    let mut last = String::new();
    let there = wait_for(|| metrics.agree(&client, &container.file, &mut last));
    check.that(there, || format!("{last}\n{}", client.get("/metrics").body));
    check.done()
}

/// Ends a container with the trial.
struct End(&'static str);

impl Drop for End {
    fn drop(&mut self) {
        let _ = succeeds("podman", &["rm", "--force", "--time=0", self.0]);
    }
}
