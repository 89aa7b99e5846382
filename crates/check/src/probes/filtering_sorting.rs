//! `edge.api-filtering-sorting`: what lists say they can filter and sort by, they do, and what they do not know they refuse.

use std::io;

use seaworthy_evidence::{ProbeKind, SafetyClass};
use serde_json::Value;

use super::pagination::{joint, rows};
use crate::{
    fixture::{self, reply},
    http::Client,
    openapi::{self, Described},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct FilteringSorting;

/// So many lists are tried, and so many filters of each.
const LISTS: usize = 6;
const FILTERS: usize = 3;
/// No list has it.
const NO_FIELD: &str = "seaworthy_check_no_such_field";
const SORTS: [&str; 8] = ["sort", "sort_by", "sortby", "order_by", "orderby", "ordering", "$orderby", "order"];
const DIRECTIONS: [&str; 7] = ["order", "direction", "dir", "sort_dir", "sort_order", "sortorder", "sort_direction"];

/// What a list says it can do.
#[derive(Debug, Default, PartialEq, Eq)]
struct List {
    path: String,
    /// Parameters that filter, with the field that each goes by.
    filters: Vec<(String, String)>,
    sort: Option<Sort>,
}

#[derive(Debug, PartialEq, Eq)]
struct Sort {
    parameter: String,
    /// The parameter that says which way, when there is one.
    direction: Option<String>,
    /// Values that the description allows.
    allowed: Vec<String>,
}

impl Probe for FilteringSorting {
    fn about(&self) -> About {
        About { control: "edge.api-filtering-sorting".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { listing(true) })
    }

    // The common mistake: a field that nobody knows is silently ignored.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { listing(false) })
    }
}

fn listing(refuses: bool) -> io::Result<Fixture> {
    const DOCUMENT: &str = r#"{"openapi":"3.1.0","paths":{"/items":{"get":{"parameters":[
        {"name":"status","in":"query","schema":{"type":"string"}},{"name":"sort","in":"query","schema":{"type":"string"}},
        {"name":"limit","in":"query","schema":{"type":"integer"}}]}}}}"#;
    fixture::public(move |request| {
        let json = [("content-type", "application/json")];
        if request.uri().path() == "/openapi.json" {
            return reply(200, &json, DOCUMENT);
        }
        let query = request.uri().query().unwrap_or_default();
        let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        let mut rows: Vec<(u32, &str)> = vec![(3, "open"), (1, "done"), (2, "open"), (5, "done"), (4, "open")];
        if let Some(status) = value("status") {
            rows.retain(|(_, own)| *own == status);
        }
        match value("sort") {
            Some("id") => rows.sort_unstable(),
            Some("-id") => rows.sort_unstable_by(|one, other| other.cmp(one)),
            Some("status") => rows.sort_unstable_by_key(|(_, status)| *status),
            Some("-status") => rows.sort_unstable_by(|one, other| other.1.cmp(one.1)),
            Some(_) if refuses => return reply(400, &json, "{}"),
            _ => {}
        }
        let rows: Vec<Value> =
            rows.iter().map(|(id, status)| serde_json::json!({ "id": id, "status": status })).collect();
        reply(200, &json, serde_json::json!({ "items": rows }).to_string())
    })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let Some(described) = openapi::describe(&client, subject.hints.version_prefix.as_deref()).await else {
        return Sighting::not_tried(
            "let the app publish its OpenAPI description: it says which filters and orders there are",
        );
    };
    let (mut cases, mut lists) = (Cases::plan(0), 0);
    for (path, names) in candidates(&described).into_iter().take(LISTS * 4) {
        if lists == LISTS {
            break;
        }
        let Ok(all) = rows(&client, &path).await else { continue };
        let Some(list) = list(path, &names, &all) else { continue };
        lists += 1;
        try_list(&client, &list, &all, &mut cases).await;
    }
    if lists == 0 {
        return Sighting::not_tried(
            "no list says that it can be filtered or sorted: describe the query parameters (`sort`, or named as a field of \
             the rows) in the OpenAPI description",
        );
    }
    cases.sighting(format!(
        "{lists} lists: filters give those rows alone, orders go both ways, and a field that is not there is refused"
    ))
}

/// A parameter's name and the values that it may have.
type Parameter = (String, Vec<String>);

/// Operations that may be lists, with their parameters.
fn candidates(described: &Described) -> Vec<(String, Vec<Parameter>)> {
    let details = described.details().into_iter().filter(|one| {
        one.operation.method == "GET" && !one.operation.needs_query && !one.operation.template.contains('{')
    });
    let named = details.map(|detail| {
        let parameters = detail.query.iter().filter_map(|one| {
            let schema = if one["schema"].is_object() { &one["schema"] } else { one };
            let schema = openapi::resolve(&described.document, schema);
            // An optional parameter of some frameworks is one of `null` and the real one.
            let variants = schema["anyOf"].as_array().into_iter().flatten();
            let holders = std::iter::once(schema).chain(variants).chain([&schema["items"]]);
            let holders = holders.map(|one| openapi::resolve(&described.document, one));
            let allowed = holders.flat_map(|one| one["enum"].as_array().into_iter().flatten());
            let allowed = allowed.filter_map(Value::as_str).map(str::to_owned).collect();
            Some((one["name"].as_str()?.to_owned(), allowed))
        });
        (detail.operation.path, parameters.collect::<Vec<_>>())
    });
    named.filter(|(_, parameters)| !parameters.is_empty()).collect()
}

/// What of it is about its rows; `None` when nothing is.
fn list(path: String, parameters: &[Parameter], all: &[Value]) -> Option<List> {
    let field = |name: &str| {
        let inner = name.strip_prefix("filter[").and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        all.iter().any(|row| text(&row[inner]).is_some()).then(|| inner.to_owned())
    };
    let one_of = |names: &[&str], name: &str| names.contains(&name.to_lowercase().as_str());
    let sort = parameters.iter().filter(|(name, _)| one_of(&SORTS, name) && field(name).is_none());
    // `order` alone sorts; beside `sort` it says which way.
    let sort = sort.min_by_key(|(name, _)| name.to_lowercase() == "order");
    let direction = parameters.iter().find(|(name, _)| {
        one_of(&DIRECTIONS, name) && sort.is_some_and(|(sort, _)| sort != name) && field(name).is_none()
    });
    let sort = sort.map(|(parameter, allowed)| Sort {
        parameter: parameter.clone(),
        direction: direction.map(|(name, _)| name.clone()),
        allowed: allowed.clone(),
    });
    let filters: Vec<_> =
        parameters.iter().filter_map(|(name, _)| Some((name.clone(), field(name)?))).take(FILTERS).collect();
    (sort.is_some() || !filters.is_empty()).then_some(List { path, filters, sort })
}

async fn try_list(client: &Client, list: &List, all: &[Value], cases: &mut Cases) {
    let path = &list.path;
    if all.len() < 3 {
        cases.plan_more(1);
        return cases.told_nothing(format!("GET {path} has {} rows: too few to see what it leaves out", all.len()));
    }
    for (parameter, field) in &list.filters {
        cases.plan_more(1);
        if let Err(why) = try_filter(client, path, parameter, field, all, cases).await {
            cases.told_nothing(why);
        }
    }
    let unknown = match (&list.sort, list.filters.first()) {
        (Some(sort), _) => format!("{}={NO_FIELD}", escape(&sort.parameter)),
        (None, Some((parameter, _))) if parameter.starts_with("filter[") => format!("filter%5B{NO_FIELD}%5D=1"),
        (None, _) => format!("{NO_FIELD}=1"),
    };
    if let Some(sort) = &list.sort {
        cases.plan_more(2);
        if let Err(why) = try_sort(client, path, sort, all, cases).await {
            cases.told_nothing(why);
        }
    }
    cases.plan_more(1);
    match client.get(&format!("{path}{}{unknown}", joint(path))).await {
        Ok(answer) => {
            let status = answer.status.as_u16();
            let seen = format!("GET {path} with {unknown} → {status}, where 400 is right");
            cases.tried(matches!(status, 400 | 422), seen);
        }
        Err(error) => cases.told_nothing(error.to_string()),
    }
}

/// Asks for one value that some rows have, and others not.
async fn try_filter(
    client: &Client,
    path: &str,
    parameter: &str,
    field: &str,
    all: &[Value],
    cases: &mut Cases,
) -> Result<(), String> {
    let has = |row: &Value, wanted: &str| text(&row[field]).as_deref() == Some(wanted);
    let values = all.iter().filter_map(|row| text(&row[field]));
    let telling = values.clone().find(|value| all.iter().any(|row| !has(row, value)));
    let Some(value) = telling else {
        return Err(format!("every row of {path} has the same `{field}`: filtering by it shows nothing"));
    };
    let wanted = all.iter().filter(|row| has(row, &value)).count();
    let given = rows(client, &format!("{path}{}{}={}", joint(path), escape(parameter), escape(&value))).await?;
    let others = given.iter().filter(|row| !has(row, &value)).count();
    let kept = all.iter().filter(|row| has(row, &value)).any(|row| given.contains(row));
    let seen = format!(
        "GET {path} with {parameter}={value} gives {} rows, {others} of them with another `{field}`; {wanted} rows were \
         seen that have it",
        given.len()
    );
    cases.tried(others == 0 && kept, seen);
    Ok(())
}

/// Sorts by one field, both ways.
async fn try_sort(client: &Client, path: &str, sort: &Sort, all: &[Value], cases: &mut Cases) -> Result<(), String> {
    let Some(field) = sort_field(sort, all) else {
        return Err(format!("GET {path}: no field of its rows can be seen to be sorted by `{}`", sort.parameter));
    };
    let parameter = escape(&sort.parameter);
    for descending in [false, true] {
        let query = match &sort.direction {
            Some(name) => {
                format!("{parameter}={}&{}={}", escape(&field), escape(name), if descending { "desc" } else { "asc" })
            }
            None => {
                let wanted = if descending { format!("-{field}") } else { field.clone() };
                format!("{parameter}={}", escape(&wanted))
            }
        };
        let given = rows(client, &format!("{path}{}{query}", joint(path))).await?;
        let keys: Vec<&Value> = given.iter().map(|row| &row[field.as_str()]).filter(|key| !key.is_null()).collect();
        let several = keys.windows(2).any(|two| two[0] != two[1]);
        if !several {
            return Err(format!("GET {path} with {query} gives too few values of `{field}` to see an order"));
        }
        let way = if descending { "descending" } else { "ascending" };
        cases.tried(is_sorted(&keys, descending), format!("GET {path} with {query} is not sorted by `{field}`, {way}"));
    }
    Ok(())
}

/// A field that the description allows to sort by, and whose order cannot be mistaken: numbers before texts.
fn sort_field(sort: &Sort, all: &[Value]) -> Option<String> {
    let differs = |name: &str| {
        let mut values = all.iter().map(|row| &row[name]).filter(|value| value.is_number() || value.is_string());
        let first = values.next();
        first.is_some() && values.any(|value| Some(value) != first)
    };
    let allowed = sort.allowed.iter().map(|value| value.trim_start_matches(['-', '+']));
    let fields: Vec<&str> = match sort.allowed.is_empty() {
        false => allowed.collect(),
        true => all.first()?.as_object()?.keys().map(String::as_str).collect(),
    };
    let useful: Vec<&str> = fields.into_iter().filter(|name| differs(name)).collect();
    let is_number = |name: &&&str| all.iter().all(|row| row[**name].is_number());
    useful.iter().find(is_number).or(useful.first()).map(|name| (*name).to_owned())
}

/// By number; texts by bytes, or without regard to case, for databases differ.
fn is_sorted(keys: &[&Value], descending: bool) -> bool {
    let pairs = || keys.windows(2).map(|two| if descending { (two[1], two[0]) } else { (two[0], two[1]) });
    if keys.iter().all(|key| key.is_number()) {
        return pairs().all(|(one, other)| one.as_f64() <= other.as_f64());
    }
    let exact = pairs().all(|(one, other)| one.as_str() <= other.as_str());
    let folded = |key: &Value| key.as_str().map(str::to_lowercase);
    exact || pairs().all(|(one, other)| folded(one) <= folded(other))
}

/// A value as a query has it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() && text.len() <= 200 => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::probe::Outcome;

    #[test]
    fn parameters_are_told_apart_by_the_rows() {
        let all = [json!({"id": 2, "status": "a", "order": "x"}), json!({"id": 1, "status": "b", "order": "y"})];
        let named = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect::<Vec<_>>();
        let found =
            list("/a".into(), &named(&["limit", "status", "filter[id]", "sort_by", "direction"]), &all).unwrap();
        assert_eq!(found.filters, [("status".into(), "status".into()), ("filter[id]".into(), "id".into())]);
        let sort = found.sort.unwrap();
        assert_eq!((sort.parameter.as_str(), sort.direction.as_deref()), ("sort_by", Some("direction")));
        assert!(list("/a".into(), &named(&["limit", "page"]), &all).is_none());
        assert!(list("/a".into(), &named(&["order"]), &all).unwrap().sort.is_none(), "a field of the rows");
        let allowed = Sort { parameter: "sort".into(), direction: None, allowed: vec!["-status".into()] };
        assert_eq!(sort_field(&allowed, &all).as_deref(), Some("status"));
        assert_eq!(sort_field(&Sort { allowed: Vec::new(), ..allowed }, &all).as_deref(), Some("id"));
    }

    #[test]
    fn an_order_is_seen_whatever_the_collation() {
        let sorted = |keys: &[Value], descending| is_sorted(&keys.iter().collect::<Vec<_>>(), descending);
        assert!(sorted(&[json!(1), json!(2), json!(10)], false) && sorted(&[json!(10), json!(2)], true));
        assert!(!sorted(&[json!(10), json!(2)], false));
        assert!(sorted(&[json!("B"), json!("a")], false) && sorted(&[json!("a"), json!("B")], false));
        assert!(!sorted(&[json!("b"), json!("a")], false));
    }

    /// What is said of an app whose list does this with a query.
    async fn outcome(answers: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static) -> Outcome {
        const DOCUMENT: &str = r#"{"paths":{"/a":{"get":{"parameters":[
            {"name":"kind","in":"query"},{"name":"sort","in":"query"}]}}}}"#;
        let fixture = fixture::public(move |request| match request.uri().path() {
            "/openapi.json" => reply(200, &[], DOCUMENT),
            _ => {
                let (status, body) = answers(request.uri().query().unwrap_or_default());
                reply(status, &[], body.to_string())
            }
        });
        look(&fixture.unwrap().subject).await.outcome
    }

    #[tokio::test]
    async fn a_filter_or_an_order_that_does_nothing_is_found() {
        let all = json!([{"id": 2, "kind": "a"}, {"id": 3, "kind": "b"}, {"id": 1, "kind": "a"}]);
        let unfiltered = all.clone();
        let found = outcome(move |_| (200, unfiltered.clone())).await;
        assert!(matches!(&found, Outcome::Broken(why) if why.contains("1 of them with another `kind`")), "{found:?}");
        let unsorted = all.clone();
        let found = outcome(move |query| match query {
            "kind=a" => (200, json!([{"id": 2, "kind": "a"}, {"id": 1, "kind": "a"}])),
            query if query.contains(NO_FIELD) => (422, json!({})),
            _ => (200, unsorted.clone()),
        })
        .await;
        assert!(matches!(&found, Outcome::Broken(why) if why.contains("not sorted by `id`, ascending")), "{found:?}");
        let empty = outcome(|_| (200, json!([{"id": 1, "kind": "a"}]))).await;
        assert!(matches!(&empty, Outcome::Unclear(why) if why.contains("too few")), "{empty:?}");
    }
}
