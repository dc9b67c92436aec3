//! docs/stability.md: what earlier versions wrote is still what the schema describes.

use serde_json::Value;

use crate::program::schema_text;

/// Today's schema for documents of earlier versions: keys that were added since may be missing, but
/// none may have been removed or have another type.
fn for_earlier(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.remove("required");
            if map.contains_key("properties") {
                map.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            map.values_mut().for_each(for_earlier);
        }
        Value::Array(values) => values.iter_mut().for_each(for_earlier),
        _ => {}
    }
}

#[test]
fn documents_of_earlier_versions_are_still_valid() {
    let mut schema: Value = serde_json::from_str(&schema_text()).unwrap();
    for_earlier(&mut schema);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/json");
    let mut documents = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let document: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let faults: Vec<String> = validator.iter_errors(&document).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{}: {faults:?}", path.display());
        documents += 1;
    }
    assert!(documents > 8);
}
