//! The dashboard and the rules that are shipped, in a Prometheus that asks `skmem serve`: each
//! query has an answer, and each rule is evaluated.

use std::{
    collections::BTreeSet,
    env,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use libtest_mimic::Failed;
use serde_json::Value;

use super::Sender;
use crate::{
    case::SKMEM,
    check::Check,
    metrics::Prometheus,
    process::{Process, wait_for},
    sender::{BULK, ROLE},
    serving::Serving,
};

const DASHBOARD: &str = include_str!("../../../../packaging/grafana/skmem.json");
/// Grafana makes it four scrapes at least.
const RATE_INTERVAL: &str = "10s";

/// What a panel asks for.
struct Query {
    panel: String,
    /// With variables.
    text: String,
}

/// All that the dashboard asks for.
fn queries(dashboard: &Value) -> Vec<Query> {
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(Query {
                panel: panel["title"].as_str().unwrap_or_default().to_owned(),
                text: target["expr"].as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    queries
}

/// What Grafana makes of a query with this choice of instances.
fn filled_in(query: &str, instance: &str) -> String {
    query
        .replace("$instance", instance)
        .replace("$__rate_interval", RATE_INTERVAL)
}

/// The labels that a variable offers: `label_values(METRIC, LABEL)`.
fn offered(prometheus: &Prometheus, variable: &Value) -> BTreeSet<String> {
    let query = variable["query"]["query"].as_str().unwrap_or_default();
    let inner = query.strip_prefix("label_values(");
    let inner = inner.and_then(|rest| rest.strip_suffix(')'));
    let Some((metric, label)) = inner.and_then(|inner| inner.split_once(", ")) else {
        return BTreeSet::new();
    };
    let path = format!("label/{label}/values");
    let answer = prometheus.ask(&path, &[("match[]", metric)]);
    let values = answer["data"].as_array().into_iter().flatten();
    values
        .filter_map(|v| Some(v.as_str()?.to_owned()))
        .collect()
}

pub fn has_data() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = tempfile::tempdir()?;
    let serving = Serving::start(SKMEM, &["--interval", "500ms"]);
    let prometheus = Prometheus::start(room.path(), &serving.address)?;
    // One that is held up, and one whose limit the kernel tunes.
    let _full = Sender::start(room.path(), "full", &"ef".repeat(32))?;
    let _busy = Process::start(
        Command::new(env::current_exe()?)
            .env(ROLE, format!("{BULK}600"))
            .stdin(Stdio::null()),
    )?;

    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let variables = dashboard["templating"]["list"].as_array();
    let variables = variables.ok_or("the dashboard has no variables")?;
    let instance = variables.iter().find(|v| v["name"] == "instance");
    let instance = instance.ok_or("the dashboard has no instances to choose from")?;
    let mut there = BTreeSet::new();
    wait_for(|| {
        there = offered(&prometheus, instance);
        !there.is_empty()
    });
    let served = serving.address.clone();
    check.equal("instances", there, BTreeSet::from([served.clone()]));
    let all = instance["allValue"].as_str().unwrap_or_default();

    // Of a range, as Grafana asks; of all instances, and of one.
    let queries = queries(&dashboard);
    check.that(queries.len() > 10, || format!("{} queries", queries.len()));
    let one = served.replace('.', "\\\\.");
    let mut waiting: Vec<(&str, String)> = Vec::new();
    for Query { panel, text } in &queries {
        waiting.extend([all, &one].map(|instance| (&**panel, filled_in(text, instance))));
    }
    let mut wrong = Vec::new();
    let there = wait_for(|| {
        waiting.retain(|(panel, query)| {
            let answer = of_last_seconds(&prometheus, query);
            // What is wrong does not become right.
            if answer["status"] == "error" {
                wrong.push(format!("{panel}: {query}: {answer}"));
                return false;
            }
            has_results(&answer).is_none()
        });
        waiting.is_empty()
    });
    check.that(there, || format!("without data: {waiting:?}"));
    check.equal("refused queries", wrong, Vec::new());

    // Rules: all are evaluated, none fails, those that record have recorded.
    let mut wrong = Vec::new();
    let mut rules = 0;
    let there = wait_for(|| {
        let answer = prometheus.ask("rules", &[]);
        let groups = answer["data"]["groups"].as_array().cloned();
        wrong.clear();
        rules = 0;
        for rule in groups
            .iter()
            .flatten()
            .filter_map(|group| group["rules"].as_array())
            .flatten()
        {
            rules += 1;
            if rule["health"] != "ok" {
                wrong.push(rule.to_string());
            }
        }
        rules > 0 && wrong.is_empty()
    });
    check.that(there && rules > 10, || {
        format!("{rules} rules, of them {wrong:?}")
    });
    let records = [
        "skmem:sender_blocked:rate5m",
        "skmem:sender_held_up_by:rate5m",
        "skmem:tcp_memory:pressure_ratio",
    ];
    let recorded = |record: &&str| has_results(&prometheus.ask("query", &[("query", record)]));
    let there = wait_for(|| records.iter().all(|record| recorded(record).is_some()));
    check.that(there, || "a rule has recorded nothing".to_owned());
    check.done()
}

/// The answer to a query of a range that ends now.
fn of_last_seconds(prometheus: &Prometheus, query: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let (start, end) = ((now - 30).to_string(), now.to_string());
    let range = [
        ("query", query),
        ("start", &start),
        ("end", &end),
        ("step", "5"),
    ];
    prometheus.ask("query_range", &range)
}

/// How many series an answer has; None: none.
fn has_results(answer: &Value) -> Option<usize> {
    let results = answer["data"]["result"].as_array()?;
    (!results.is_empty()).then_some(results.len())
}
