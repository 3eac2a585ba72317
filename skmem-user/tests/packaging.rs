//! What is shipped beside the program, by those who read it: the manifests by Kubernetes' schemas,
//! the rules by promtool, the unit by systemd.

#![cfg(all(feature = "serve", feature = "outside-tests"))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_skmem");
const FLEET: &str = include_str!("../../docs/fleet.md");
const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packaging/manifests.py");
/// Versions of Kubernetes whose schemas the manifests must keep: the first that knows all of their
/// fields (`appArmorProfile`), to the last that there is.
const KUBERNETES: [&str; 8] = [
    "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37",
];

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

/// A program that `cargo xtask test --host` names in this variable.
fn outside(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| panic!("`cargo xtask test --host` sets {variable}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Holds manifests against the schemas: the documents, and what is wrong with them.
fn held_against_schemas(file: &Path, versions: &[&str]) -> (Vec<Value>, String) {
    let mut command = Command::new(outside("SKMEM_TEST_MANIFESTS"));
    let command = command.arg(MANIFESTS).arg(file).args(versions);
    let output = command.output().unwrap();
    let wrong = String::from_utf8(output.stderr).unwrap();
    let documents = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{wrong}"));
    assert_eq!(output.status.success(), wrong.is_empty(), "{wrong}");
    (documents, wrong)
}

#[test]
fn the_manifests_keep_the_schemas_of_kubernetes() {
    let file = packaging().join("kubernetes/skmem.yaml");
    let (documents, wrong) = held_against_schemas(&file, &KUBERNETES);
    assert_eq!(wrong, "");
    assert_eq!(documents.len(), 2);
    // They are held against them: what no schema has is found, and what has another type.
    let text = fs::read_to_string(&file).unwrap();
    for (good, bad, place) in [
        ("hostPID:", "hostPid:", "spec.template.spec: "),
        (
            "hostPID: true",
            "hostPID: often",
            "spec.template.spec.hostPID: ",
        ),
        (
            "drop: [ALL]",
            "dropped: [ALL]",
            "securityContext.capabilities: ",
        ),
        (
            "periodSeconds: 5",
            "periodSeconds: 5s",
            "startupProbe.periodSeconds: ",
        ),
        ("name: metrics", "nam: metrics", "ports.0: "),
    ] {
        let broken = tempfile::NamedTempFile::new().unwrap();
        assert!(text.contains(good), "{good}");
        fs::write(broken.path(), text.replacen(good, bad, 1)).unwrap();
        let (_, wrong) = held_against_schemas(broken.path(), &KUBERNETES[7..]);
        assert!(wrong.contains(place), "{bad}: {wrong}");
    }
}

/// No more rights than the unit has, each with its reason; nothing can be written.
#[test]
fn the_daemonset_has_the_rights_of_the_unit_and_no_others() {
    let file = packaging().join("kubernetes/skmem.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let (documents, _) = held_against_schemas(&file, &[]);
    let pod = &documents[1]["spec"]["template"]["spec"];
    assert_eq!(pod["hostPID"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    let container = &containers[0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(container["image"], format!("skmem:{version}"));

    let security = &container["securityContext"];
    assert_eq!(security["privileged"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
    let added = security["capabilities"]["add"].as_array().unwrap();
    let added: BTreeSet<&str> = added.iter().map(|name| name.as_str().unwrap()).collect();
    for name in &added {
        let line = text
            .lines()
            .find(|line| line.trim().starts_with(&format!("- {name} ")));
        assert!(line.is_some_and(|line| line.contains(" # ")), "why {name}?");
    }
    let unit = fs::read_to_string(packaging().join("skmem-serve.service")).unwrap();
    for option in ["AmbientCapabilities=", "CapabilityBoundingSet="] {
        let line = unit.lines().find_map(|line| line.strip_prefix(option));
        let names = line.unwrap().split(' ').map(|name| &name["CAP_".len()..]);
        assert_eq!(names.collect::<BTreeSet<_>>(), added, "{option}");
    }

    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().unwrap();
        assert!(["/healthz", "/readyz"].contains(&path), "{probe}: {path}");
    }
    let mounts = container["volumeMounts"].as_array().unwrap();
    for mount in mounts {
        assert_eq!(mount["readOnly"], true, "{mount}");
    }
    // Each directory of the node is where --host-root has it.
    let volumes = pod["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), mounts.len());
    for volume in volumes {
        let mount = mounts.iter().find(|mount| mount["name"] == volume["name"]);
        let at = mount.unwrap()["mountPath"].as_str().unwrap();
        let of = volume["hostPath"]["path"].as_str().unwrap();
        assert_eq!(at, format!("/host{of}"));
    }
}

#[test]
fn alerts_do_what_their_tests_say() {
    let promtool = outside("SKMEM_TEST_PROMTOOL");
    for arguments in [
        ["check", "rules", "skmem.rules.yml"],
        ["test", "rules", "skmem.rules.test.yml"],
    ] {
        let mut command = Command::new(&promtool);
        let command = command
            .args(arguments)
            .current_dir(packaging().join("prometheus"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    }
}

/// What follows `- NAME: ` in lines of a file of rules.
fn named<'a>(text: &'a str, name: &str) -> BTreeSet<&'a str> {
    let of = |line: &'a str| {
        line.trim()
            .strip_prefix("- ")?
            .strip_prefix(name)?
            .strip_prefix(": ")
    };
    text.lines().filter_map(of).collect()
}

/// Each rule is tried by the tests beside it, and each alert is explained in docs/fleet.md.
#[test]
fn each_rule_has_a_test_and_each_alert_its_line_in_the_docs() {
    let read = |name: &str| fs::read_to_string(packaging().join(name)).unwrap();
    let rules = read("prometheus/skmem.rules.yml");
    let tests = read("prometheus/skmem.rules.test.yml");
    let alerts = named(&rules, "alert");
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        // One that must not fire says nothing of one that must.
        let name = format!("alertname: {alert}\n");
        let fires = |rest: &str| rest.trim_start().starts_with("exp_alerts:\n");
        assert!(
            tests.split(&name).skip(1).any(fires),
            "no test has {alert} fire"
        );
        assert!(
            FLEET.contains(&format!("`{alert}`")),
            "docs/fleet.md lacks {alert}"
        );
    }
    let records = named(&rules, "record");
    assert!(records.len() > 2, "{records:?}");
    for record in records {
        assert!(
            tests.contains(&format!("- expr: {record}\n")),
            "no test asks for {record}"
        );
    }
}

/// Each metric that rules and dashboard ask for is one that the program has.
#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are() {
    let source = include_str!("../src/serve/families.rs");
    let read = |name: &str| fs::read_to_string(packaging().join(name)).unwrap();
    let mut names = 0;
    for text in [
        read("prometheus/skmem.rules.yml"),
        read("grafana/skmem.json"),
    ] {
        for name in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let ends = ["_total", "_bucket", "_count", "_info", "_bytes", "_seconds"];
            let plain = ends
                .iter()
                .fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
            if !plain.starts_with("skmem_") {
                continue;
            }
            names += 1;
            assert!(
                source.contains(&format!("\"{plain}\"")),
                "there is no {name}"
            );
        }
    }
    assert!(names > 30, "{names}");
}

/// Each `prometheus.yml` of docs/fleet.md, beside the rules.
#[test]
fn prometheus_takes_the_configurations_of_the_docs() {
    let promtool = outside("SKMEM_TEST_PROMTOOL");
    let rules = packaging().join("prometheus/skmem.rules.yml");
    let blocks: Vec<&str> = FLEET.split("```yaml\n").skip(1).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let (text, _) = block.split_once("```").unwrap();
        // Debian's build finds no pods: all else of that one is held against it.
        let lines = text.lines().map(|line| {
            let line = line.strip_prefix("   ").unwrap();
            match line.contains("kubernetes_sd_configs") {
                true => "    static_configs: [{targets: [\"node:9464\"]}]",
                false => line,
            }
        });
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("prometheus.yml");
        fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
        fs::copy(&rules, room.path().join("skmem.rules.yml")).unwrap();
        let mut command = Command::new(&promtool);
        let output = command
            .args(["check", "config"])
            .arg(&file)
            .output()
            .unwrap();
        let said = said(&output);
        assert!(
            output.status.success() && said.contains("1 rule files found"),
            "{said}"
        );
    }
}

/// The lines of docs/fleet.md that make one data set of recordings, and that ask for something.
#[test]
#[cfg(feature = "parquet")]
fn recordings_of_nodes_become_one_data_set() {
    let line = |begin: &str| {
        let line = FLEET
            .lines()
            .find_map(|line| line.trim().strip_prefix(begin));
        line.unwrap_or_else(|| panic!("docs/fleet.md has no line {begin}…"))
    };
    let room = tempfile::tempdir().unwrap();
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    for (node, name) in [("n1", "v1-article.skm"), ("n2", "v1-several.skm")] {
        let directory = room.path().join("recordings").join(node);
        fs::create_dir_all(&directory).unwrap();
        fs::copy(recordings.join(name), directory.join("flight.skm")).unwrap();
    }
    let bin = Path::new(PROGRAM).parent().unwrap().display();
    let script = format!(
        "set -e; PATH={bin}:$PATH; for file in {}",
        line("for file in ")
    );
    // The second time changes nothing.
    for _ in 0..2 {
        let mut command = Command::new("sh");
        let command = command.args(["-c", &script]).current_dir(room.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    let query = line("duckdb -c \"").strip_suffix('"').unwrap();
    let mut command = Command::new(outside("SKMEM_TEST_DUCKDB"));
    let ask = "import sys, duckdb; print(duckdb.sql(sys.argv[1]).fetchall())";
    let output = command
        .args(["-c", ask, query])
        .current_dir(room.path())
        .output()
        .unwrap();
    let rows = said(&output);
    assert!(output.status.success(), "{rows}");
    for comm in ["'demo-sender'", "'nc'"] {
        assert_eq!(rows.matches(comm).count(), 1, "{rows}");
    }
}

#[test]
fn systemd_reads_the_unit() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        return;
    }
    let room = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(packaging().join("skmem-serve.service")).unwrap();
    let file = room.path().join("skmem-serve.service");
    // Neither the program nor its man page are installed here.
    let unit = unit
        .replace("ExecStart=skmem", &format!("ExecStart={PROGRAM}"))
        .replace("man:skmem-serve(1)", "");
    fs::write(&file, unit).unwrap();
    let mut command = Command::new("/usr/bin/systemd-analyze");
    let output = command.arg("verify").arg(&file).output().unwrap();
    assert!(
        output.status.success() && said(&output).is_empty(),
        "{}",
        said(&output)
    );
}
