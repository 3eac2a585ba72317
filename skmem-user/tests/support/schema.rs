//! A JSON value against a JSON Schema.

use serde_json::Value;

/// As much of JSON Schema as ours uses: every member is declared, required ones are there, types agree.
pub fn keeps(value: &Value, schema: &Value, root: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = root.pointer(name.trim_start_matches('#')).unwrap();
        return keeps(value, definition, root, at);
    }
    for alternatives in ["anyOf", "oneOf"] {
        if let Some(list) = schema[alternatives].as_array() {
            let fits = |one: &Value| {
                one.get("const") == Some(value)
                    || (one["type"] == "null" && value.is_null())
                    || one["enum"]
                        .as_array()
                        .is_some_and(|all| all.contains(value))
                    || (one["$ref"].is_string() && !value.is_null())
            };
            let one = list.iter().find(|one| fits(one));
            let one = one.unwrap_or_else(|| panic!("{at}: {value} is none of {list:?}"));
            if one["$ref"].is_string() {
                keeps(value, one, root, at);
            }
            return;
        }
    }
    if let Some(all) = schema["enum"].as_array() {
        assert!(all.contains(value), "{at}: {value}");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => panic!("{at}: no type in {schema}"),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&is), "{at}: {is} is not {types:?}");
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| keeps(item, &schema["items"], root, at)),
        Value::Object(members) => {
            for (name, member) in members {
                let declared = &schema["properties"][name];
                assert!(!declared.is_null(), "{at}.{name} is not in the schema");
                assert!(
                    declared["description"].is_string() || declared["$ref"].is_string(),
                    "{at}.{name} is not described"
                );
                keeps(member, declared, root, &format!("{at}.{name}"));
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    members.contains_key(name.as_str().unwrap()),
                    "{at}.{name} is missing"
                );
            }
        }
        _ => {}
    }
}
