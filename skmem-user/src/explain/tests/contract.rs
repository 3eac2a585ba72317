//! The JSON contract, schema 1, by its keys and types.

use serde_json::Value;
use skmem_common::output::{Holder, Output};

use crate::testing::socket::article;

fn keys(value: &Value, expected: &[&str]) {
    let object = value.as_object().unwrap();
    for key in expected {
        assert!(object.contains_key(*key), "no {key} in {value}");
    }
}

#[test]
fn the_contract_is_kept() {
    let json = serde_json::to_value(article(896).verdict()).unwrap();
    keys(
        &json,
        &[
            "schema",
            "kernel",
            "socket",
            "so_sndbuf",
            "sndbuf",
            "wmem_queued",
            "send_q",
            "payload",
            "skb_overhead",
            "forward_alloc",
            "size_goal",
            "mss",
            "excess",
            "admission",
            "causes",
            "ledger",
            "limit_moves",
            "inferred",
            "unattributed",
            "skipped_runs",
            "blocked",
            "lost_events",
            "complete",
            "advice",
        ],
    );
    keys(
        &json["socket"],
        &[
            "cookie", "pid", "comm", "family", "src", "sport", "dst", "dport", "netns",
        ],
    );
    keys(&json["admission"], &["at_ns", "wmem_queued", "sndbuf"]);
    keys(&json["causes"][0], &["cause", "bytes", "count", "first_ns"]);
    keys(&json["ledger"][0], &["cause", "bytes", "count"]);
    keys(&json["advice"][0], &["cause", "advice", "price"]);
    assert_eq!(json["schema"], 1);
    assert_eq!(json["complete"], true);
    assert_eq!(json["send_q"], 14_480);
    assert_eq!(json["instant"], "worst");
    assert_eq!(json["socket"]["src"], "10.0.0.1");
    assert_eq!(json["socket"]["comm"], "client");
}

#[test]
fn what_is_unknown_is_null() {
    let mut socket = crate::testing::socket::Socket::autotuned(16_384, 896);
    socket.account.ident.flags = 0;
    socket.write(100);
    let json = serde_json::to_value(socket.verdict()).unwrap();
    assert!(json["so_sndbuf"].is_null());
    assert!(json["blocked"].is_null());
    assert!(json["socket"]["cookie"].is_null());
    assert_eq!(json["limit_moves"], serde_json::json!([]));
}

#[test]
fn every_field_is_documented() {
    let doc = include_str!("../../../../docs/json.md");
    let mut socket = article(896);
    let read = Output {
        at_ns: 1,
        ..Output::default()
    };
    let outputs = &mut socket.account.outputs;
    (outputs.first, outputs.worst, outputs.held) = (read, read, read);
    outputs.last = Output {
        at_ns: 2,
        busy_ns: 1,
        ..read
    };
    socket.account.blocked.holders[Holder::Cwnd as usize] = 1;
    let json = serde_json::to_value(socket.verdict()).unwrap();
    assert!(json["clocks"].is_object() && json["output"]["last"].is_object());
    let mut missing = Vec::new();
    walk(&json, &mut |key| {
        if !doc.contains(&format!("`{key}`")) {
            missing.push(key.to_owned());
        }
    });
    assert_eq!(missing, Vec::<String>::new());
}

fn walk(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                visit(key);
                walk(value, visit);
            }
        }
        Value::Array(list) => list.iter().for_each(|v| walk(v, visit)),
        _ => {}
    }
}
