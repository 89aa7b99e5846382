//! `cache.search-results`: the same search is not asked of the vector store again.
//!
//! A search that nobody has made yet is made three times. The store counts: pgvector in `pg_stat_statements`, others in
//! their metrics (Prometheus' text format). Whether a new document is found after the time to live is not tried.

use std::{io, sync::Arc};

use seaworthy_core::Secret;
use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::sync::Mutex;

use super::{Counters, Kept, count, quiet, risen};
use crate::{
    endpoint::Endpoint,
    fixture::{self, ServerOptions, reply},
    http::{Client, Transcript},
    probe::{About, Cases, Probe, Sighting, Working},
    stores::Named,
    subject::{Fixture, Subject},
};

pub(super) struct SearchResults;

const NAME_IT: &str = "name the app's search, with {query} where its words go, and who counts: [check] search_path = \
     \"/search?q={query}\", and vector_metrics = \"http://HOST:6333/metrics\", or database for pgvector";
/// Distances of pgvector.
const DISTANCES: [&str; 6] = ["<->", "<=>", "<#>", "<+>", "<~>", "<%>"];

impl Probe for SearchResults {
    fn about(&self) -> About {
        About { control: "cache.search-results".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn alone(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(searching(true))
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: embeddings are kept, and what the store answered is not.
        Box::pin(searching(false))
    }
}

/// An app with a search; `keeps`: it remembers what was found.
async fn searching(keeps: bool) -> io::Result<Fixture> {
    let kept = Kept::new().await?;
    let url = kept.url();
    let (database, known) = (url.clone(), Arc::new(Mutex::new(std::collections::HashSet::new())));
    let answering: fixture::Answering = Arc::new(move |request| {
        let (query, database, known) = (request.uri().query().map(str::to_owned), database.clone(), known.clone());
        Box::pin(async move {
            let Some(query) = query else { return reply(200, &[], "") };
            if known.lock().await.insert(query) || !keeps {
                let asked = count(&database, "select id from documents order by embedding <=> $1 limit $2").await;
                return reply(if asked.is_ok() { 200 } else { 500 }, &[], "[]");
            }
            reply(200, &[], "[]")
        })
    });
    let server = fixture::Server::start(answering, ServerOptions::default())?;
    let mut subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    subject.hints.search_path = Some("/search?q={query}".into());
    subject.stores.database = Some(Named { by: "[check] database".into(), url: Ok(Secret::new(url)) });
    Ok(Fixture { subject, _keep: vec![Box::new(server), Box::new(kept)] })
}

/// Who counts searches.
enum Counting {
    Metrics(Box<Client>, String),
    Database(Counters),
}

impl Counting {
    fn of(subject: &Subject) -> Result<Self, Sighting> {
        if let Some(url) = &subject.hints.vector_metrics {
            let rest = url.find("://").map_or(0, |at| at + 3);
            let path = url[rest..].find('/').map_or(url.len(), |at| rest + at);
            let there: Endpoint = url[..path].parse().map_err(|_| Sighting::not_tried(NAME_IT))?;
            let client = Client::new(there, Transcript::default()).trusting(subject.trust.clone());
            return Ok(Self::Metrics(Box::new(client), url[path..].to_owned()));
        }
        let named = subject.stores.database.as_ref().ok_or_else(|| Sighting::not_tried(NAME_IT))?;
        Ok(Self::Database(Counters::of(named)?))
    }

    /// How many searches were counted so far.
    async fn read(&self) -> Result<u64, String> {
        match self {
            Self::Metrics(client, path) => {
                let answer = client.get(path).await.map_err(|error| error.to_string())?;
                match answer.status.is_success() {
                    true => Ok(searches(&answer.text())),
                    false => Err(format!("the metrics of the vector store answer {}", answer.status.as_u16())),
                }
            }
            Self::Database(counters) => {
                let calls = risen(&Default::default(), &counters.read().await?);
                let of_vectors = calls.iter().filter(|(text, _)| DISTANCES.iter().any(|sign| text.contains(sign)));
                Ok(of_vectors.map(|(_, calls)| calls).sum())
            }
        }
    }
}

/// The sum of what a text of metrics counts as searches: `rest_responses_total{endpoint="/collections/{name}/points/search"}`.
fn searches(text: &str) -> u64 {
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    let counts = lines.filter(|(name, _)| {
        let (bare, lower) = (name.split('{').next().unwrap_or_default(), name.to_lowercase());
        (bare.ends_with("_total") || bare.ends_with("_count")) && (lower.contains("search") || lower.contains("quer"))
    });
    let number =
        |(_, value): (&str, &str)| value.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts, which are whole and not negative"
    )]
    let sum = counts.filter_map(number).sum::<f64>() as u64;
    sum
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = quiet(subject) else { return Sighting::not_tried("name the app's address with --url") };
    let Some(template) = &subject.hints.search_path else { return Sighting::not_tried(NAME_IT) };
    let counting = match Counting::of(subject) {
        Ok(counting) => counting,
        Err(sighting) => return sighting,
    };
    let mut cases = Cases::plan(1);
    let path = template.replace("{query}", &format!("seaworthy+check+{:08x}", fastrand::u32(..)));
    let mut counts = Vec::new();
    for _ in 0..3 {
        let asked = async {
            let before = counting.read().await?;
            let answer = client.get(&path).await.map_err(|error| error.to_string())?;
            let after = counting.read().await?;
            match answer.status.is_success() {
                true => Ok(after.saturating_sub(before)),
                false => Err(format!("GET {path} answers {}", answer.status.as_u16())),
            }
        };
        match asked.await {
            Ok(count) => counts.push(count),
            Err(why) => return cases.gave_up(why),
        }
    }
    let seen = format!(
        "a new search made three times asked the vector store {} times, {} times and {} times",
        counts[0], counts[1], counts[2]
    );
    match (counts[0], counts[1] + counts[2]) {
        (0, _) => cases.told_nothing(format!("{seen}: the first search was not counted, so the others tell nothing")),
        (_, 0) => cases.tried(true, seen.clone()),
        (_, again) if again >= 2 && counts[1] > 0 && counts[2] > 0 => cases.tried(false, seen.clone()),
        _ => cases.told_nothing(format!("{seen}: others may have searched meanwhile")),
    }
    cases.sighting(format!("{seen}; whether a new document shows after a while was not tried"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_vector_stores_are_counted() {
        let text = "# HELP x\nrest_responses_total{method=\"POST\",endpoint=\"/collections/{name}/points/search\",status=\"200\"} 5\n\
                    rest_responses_total{method=\"GET\",endpoint=\"/collections\"} 9\nqueries_durations_ms_count{a=\"b\"} 2\n\
                    search_seconds_bucket{le=\"1\"} 7\nsearch_total NaN\n";
        assert_eq!(searches(text), 7);
    }

    #[tokio::test]
    async fn a_store_with_metrics_is_asked_over_http() {
        let counted = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let asked = counted.clone();
        let mut app = fixture::public(move |request| {
            use std::sync::atomic::Ordering::Relaxed;
            match request.uri().path() {
                "/metrics" => reply(200, &[], format!("a_search_total {}\n", asked.load(Relaxed))),
                _ => reply(200, &[], format!("{}", asked.fetch_add(1, Relaxed))),
            }
        })
        .unwrap();
        app.subject.hints.search_path = Some("/s?q={query}".into());
        app.subject.hints.vector_metrics = app.subject.url.as_ref().map(|url| format!("{url}/metrics"));
        let seen = look(&app.subject).await;
        assert!(
            matches!(&seen.outcome, crate::probe::Outcome::Broken(why) if why.contains("1 times, 1 times")),
            "{seen:?}"
        );
    }
}
