//! `edge.api-pagination`: lists come in pages, and asking for no page does not bring everything.

use std::io;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, reply},
    http::{Answer, Client},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct Pagination;

/// More rows than this without being asked is no page.
const LARGEST_PAGE: usize = 100;

impl Probe for Pagination {
    fn about(&self) -> About {
        About { control: "edge.api-pagination".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { listing(true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { listing(false) })
    }
}

fn listing(pages: bool) -> io::Result<Fixture> {
    let mut fixture = fixture::public(move |request| {
        let query = request.uri().query().unwrap_or_default();
        let number = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.parse::<usize>().ok());
        let (limit, offset) = match pages {
            true => (number("limit=").unwrap_or(50).min(100), number("offset=").unwrap_or(0)),
            false => (500, 0),
        };
        let rows: Vec<_> = (offset..500.min(offset + limit)).map(|id| serde_json::json!({ "id": id })).collect();
        reply(200, &[("content-type", "application/json")], serde_json::json!({ "items": rows }).to_string())
    })?;
    fixture.subject.hints.list_paths = vec!["/rows".into()];
    Ok(fixture)
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let lists = &subject.hints.list_paths;
    if lists.is_empty() {
        return Sighting::not_tried("name the paths that answer lists: [check] list_paths = [\"/…\"]");
    }
    let mut cases = Cases::plan(lists.len() * 4);
    for path in lists {
        if let Err(why) = try_list(&client, path, &mut cases).await {
            cases.told_nothing(why);
        }
    }
    cases.sighting(format!(
        "{} lists: limit=2 gives 2 rows, the next page other rows, no limit and a huge one at most {LARGEST_PAGE}",
        lists.len()
    ))
}

async fn try_list(client: &Client, path: &str, cases: &mut Cases) -> Result<(), String> {
    let all = rows(client, path).await?;
    if all.len() < 3 {
        return Err(format!("GET {path} has {} rows: too few to see pages", all.len()));
    }
    let most = rows(client, &format!("{path}{}limit=1000000&page_size=1000000&per_page=1000000", joint(path))).await?;
    cases.tried(most.len() <= LARGEST_PAGE, format!("GET {path} with limit=1000000 gives {} rows", most.len()));
    cases.tried(all.len() <= LARGEST_PAGE, format!("GET {path} without a limit gives {} rows", all.len()));
    let join = joint(path);
    let first = rows(client, &format!("{path}{join}limit=2&page_size=2&per_page=2")).await?;
    cases.tried(first.len() == 2, format!("GET {path} with limit=2 gives {} rows", first.len()));
    let second = rows(client, &format!("{path}{join}limit=2&page_size=2&per_page=2&offset=2&page=2")).await?;
    let other = second.len() <= 2 && !second.is_empty() && second.iter().all(|row| !first.contains(row));
    cases.tried(other, format!("the next page of {path} has {} other rows", if other { second.len() } else { 0 }));
    Ok(())
}

pub(super) fn joint(path: &str) -> char {
    if path.contains('?') { '&' } else { '?' }
}

pub(super) async fn rows(client: &Client, path: &str) -> Result<Vec<serde_json::Value>, String> {
    let answer: Answer = client.get(path).await.map_err(|error| error.to_string())?;
    let body = answer.json().ok_or_else(|| format!("GET {path} answers no JSON ({})", answer.status.as_u16()))?;
    let list = body
        .as_array()
        .or_else(|| body.as_object()?.values().filter_map(serde_json::Value::as_array).max_by_key(|list| list.len()));
    list.cloned().ok_or_else(|| format!("GET {path} answers no list"))
}
