//! The JSON Schema of our own JSON report (`seaworthy_evidence::Report::json`), made from the types that it is made from.

use schemars::{JsonSchema, generate::SchemaSettings};
use seaworthy_evidence::{ReportItem, Target};
use serde_json::Value;

/// A run of `seaworthy check`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is used")]
struct Readiness {
    /// In the order of the lists that were checked.
    items: Vec<ReportItem>,
    /// Items by verdict; every verdict is there.
    summary: Summary,
    /// What was looked at.
    target: Target,
}

/// How many items have each verdict.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its shape is used")]
struct Summary {
    /// Tried, and held.
    pass: usize,
    /// Tried, and did not hold.
    fail: usize,
    /// Tried, and the result does not tell.
    inconclusive: usize,
    /// Nothing was tried.
    not_run: usize,
    /// There is nothing here that it could apply to.
    not_applicable: usize,
    /// A person vouches for it, until a date.
    attested: usize,
    /// It held once; that is too long ago or was another release.
    expired: usize,
    /// The probe itself failed.
    error: usize,
}

/// JSON Schema draft 2020-12.
pub fn schema() -> Value {
    // As it is written: what may be absent there is optional here.
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Readiness>();
    schema.insert("$id".into(), "https://seaworthy.dev/schemas/readiness.schema.json".into());
    schema.insert("title".into(), "Seaworthy readiness report".into());
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, env, fs, path::Path};

    use seaworthy_evidence::Verdict;

    use super::*;
    use crate::sample;

    /// `UPDATE_DOCS=1 cargo test -p seaworthy-report` writes it.
    #[test]
    fn the_published_schema_is_up_to_date() {
        let text = format!("{:#}\n", schema());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/readiness.schema.json");
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "readiness.schema.json is out of date: UPDATE_DOCS=1 cargo test -p seaworthy-report");
    }

    /// Types and values are judged by a real validator in `tests/reports/validate.py`; here, that no key is forgotten.
    #[test]
    fn a_report_has_exactly_the_keys_of_the_schema() {
        let (schema, report) = (schema(), sample::report().json());
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let required = |value: &Value| {
            value["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
        };
        let check = |shape: &Value, value: &Value| {
            let required: BTreeSet<String> = required(shape);
            assert!(keys(value).is_subset(&keys(&shape["properties"])), "{value} has more than {shape}");
            assert!(required.is_subset(&keys(value)), "{value} has less than {required:?}");
        };
        check(&schema, &report);
        for (name, key) in [("Summary", "summary"), ("Target", "target")] {
            check(&schema["$defs"][name], &report[key]);
        }
        for item in report["items"].as_array().unwrap() {
            check(&schema["$defs"]["ReportItem"], item);
            item["controls"].as_array().unwrap().iter().for_each(|one| check(&schema["$defs"]["ControlReport"], one));
        }
        let words: BTreeSet<String> = Verdict::ALL.iter().map(|verdict| verdict.word().to_owned()).collect();
        assert_eq!(keys(&schema["$defs"]["Summary"]["properties"]), words);
    }
}
