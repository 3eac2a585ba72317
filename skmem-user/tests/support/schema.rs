//! A JSON value against a JSON Schema, by a validator of others.

use serde_json::Value;

/// Panics unless `value` keeps to `schema`, has no member that is not declared, and each declared
/// member is described. `what` names it.
pub fn keeps(value: &Value, schema: &Value, what: &str) {
    let mut closed = schema.clone();
    let open = opened(schema);
    close(&mut closed, &open);
    let validator =
        jsonschema::validator_for(&closed).unwrap_or_else(|e| panic!("schema of {what}: {e}"));
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}");
    described(schema, what);
}

/// Definitions that another one adds members to: they cannot be closed.
fn opened(schema: &Value) -> Vec<String> {
    let mut open = Vec::new();
    each(schema, &mut |object| {
        if let (Some(name), true) = (object["$ref"].as_str(), object["properties"].is_object()) {
            open.push(name.trim_start_matches("#/$defs/").to_owned());
        }
    });
    open
}

/// Forbids members that are not declared.
fn close(schema: &mut Value, open: &[String]) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if !open.contains(name) {
                    close(member, open);
                }
            }
            if members.get("properties").is_some_and(Value::is_object)
                && !members.contains_key("additionalProperties")
            {
                members.insert("unevaluatedProperties".into(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| close(item, open)),
        _ => {}
    }
}

/// Each member has words, or a type with words.
fn described(schema: &Value, what: &str) {
    each(schema, &mut |object| {
        for (name, member) in object["properties"].as_object().into_iter().flatten() {
            let words = member["description"].is_string()
                || member["$ref"].is_string()
                || member["const"].is_string();
            assert!(words, "{what}: {name} is not described: {member}");
        }
    });
}

fn each(value: &Value, look: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(members) => {
            look(value);
            members.values().for_each(|member| each(member, look));
        }
        Value::Array(items) => items.iter().for_each(|item| each(item, look)),
        _ => {}
    }
}
