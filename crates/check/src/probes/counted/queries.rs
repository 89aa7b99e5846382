//! `cache.query-results`: a question that is asked over and over reaches the database now and then, not each time.
//!
//! PostgreSQL counts the runs of each statement (`pg_stat_statements`). Those that a path causes are found with one request;
//! then the path is asked 50 times.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use seaworthy_core::Secret;
use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::time::sleep;

use super::{Calls, Counters, Kept, count, fresh, quiet, risen, shown};
use crate::{
    fixture::{self, ServerOptions, reply},
    probe::{About, Cases, Probe, Sighting, Working},
    stores::Named,
    subject::{Fixture, Subject},
};

pub(super) struct QueryResults;

const PATHS: usize = 10;
const TIMES: u64 = 50;
/// Several workers may each keep their own, and a time to live may end in between.
const FEW: u64 = 5;
const IDLE: Duration = Duration::from_secs(1);
const NAME_IT: &str = "name the app's PostgreSQL: [check] database = \"env:DATABASE_URL\"";

impl Probe for QueryResults {
    fn about(&self) -> About {
        About { control: "cache.query-results".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn alone(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(counting(true))
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: a list that everybody sees is put together for each of them.
        Box::pin(counting(false))
    }
}

/// An app with a list from its database; `keeps`: it asks once.
async fn counting(keeps: bool) -> io::Result<Fixture> {
    let kept = Kept::new().await?;
    let url = kept.url();
    let (database, known) = (url.clone(), Arc::new(AtomicBool::new(false)));
    let answering: fixture::Answering = Arc::new(move |request| {
        let (list, database, known) = (request.uri().path() == "/items", database.clone(), known.clone());
        Box::pin(async move {
            let asks = list && !(known.swap(true, Ordering::Relaxed) && keeps);
            match asks {
                true => match count(&database, "select name from items order by $1").await {
                    Ok(()) => reply(200, &[], "[]"),
                    Err(_) => reply(500, &[], ""),
                },
                false => reply(200, &[], "[]"),
            }
        })
    });
    let server = fixture::Server::start(answering, ServerOptions::default())?;
    let mut subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    subject.hints.paths = vec!["/items".into()];
    subject.stores.database = Some(Named { by: "[check] database".into(), url: Ok(Secret::new(url)) });
    Ok(Fixture { subject, _keep: vec![Box::new(server), Box::new(kept)] })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = quiet(subject) else { return Sighting::not_tried("name the app's address with --url") };
    let Some(named) = &subject.stores.database else { return Sighting::not_tried(NAME_IT) };
    let counters = match Counters::of(named) {
        Ok(counters) => counters,
        Err(sighting) => return sighting,
    };
    let mut cases = Cases::plan(1);
    let sample = subject.sample(PATHS).await;
    let mut paths: Vec<&str> = subject.hints.cached_paths.iter().map(String::as_str).collect();
    paths.extend(sample.paths());
    let mut tried: Vec<(String, u64)> = Vec::new();
    for path in paths.iter().take(PATHS) {
        match try_one(&client, &counters, path).await {
            Ok(Some((statement, asked))) => {
                subject.transcript.note(format!("{TIMES} times GET {path}: {asked} times {}", shown(&statement)));
                tried.push(((*path).to_owned(), asked));
                if asked <= FEW {
                    break;
                }
            }
            Ok(None) => {}
            Err(why) => return cases.gave_up(why),
        }
    }
    let Some((path, asked)) = tried.iter().min_by_key(|(_, asked)| *asked) else {
        let why = "no path that was asked made the database count a statement: name one that reads from it in [check] paths; \
                   where the answers are kept already, start the app anew, and let the role read what others run \
                   (pg_read_all_stats)";
        return cases.gave_up(why);
    };
    let seen = format!("{TIMES} requests of GET {path} asked the database {asked} times for the same");
    match *asked {
        asked if asked <= FEW => cases.tried(true, seen.clone()),
        asked if asked >= TIMES / 2 => {
            cases.tried(false, format!("{seen}, and none of {} paths that read from it asked less often", tried.len()));
        }
        _ => cases.told_nothing(format!("{seen}: neither now and then nor each time; others may ask the same")),
    }
    let hits = TIMES.saturating_sub(*asked) * 100 / TIMES;
    cases.sighting(format!("{seen}: {hits}% were answered without it"))
}

/// The statement of a path that is run most, and how often 50 requests run it; nothing where it asks for nothing.
async fn try_one(
    client: &crate::http::Client,
    counters: &Counters,
    path: &str,
) -> Result<Option<(String, u64)>, String> {
    let mut caused = Calls::new();
    // What is in a cache by its address is asked for under another one.
    for address in [path.to_owned(), fresh(path)] {
        let before = counters.read().await?;
        let answer = client.get(&address).await.map_err(|error| error.to_string())?;
        if !answer.status.is_success() {
            return Ok(None);
        }
        caused.extend(risen(&before, &counters.read().await?));
        if !caused.is_empty() {
            break;
        }
    }
    if caused.is_empty() {
        return Ok(None);
    }
    let before = counters.read().await?;
    for _ in 0..TIMES {
        let answer = client.get(path).await.map_err(|error| error.to_string())?;
        if answer.status.as_u16() == 429 {
            return Err(format!("a rate limit refuses {TIMES} requests of GET {path}: raise it for the check"));
        }
    }
    let grown = risen(&before, &counters.read().await?);
    // Others may ask the same all the time.
    let still = counters.read().await?;
    sleep(IDLE).await;
    let idle = risen(&still, &counters.read().await?);
    if let Some((statement, times)) =
        idle.iter().find(|(statement, times)| caused.contains_key(*statement) && **times > 2)
    {
        return Err(format!("others run the same meanwhile ({times} times in {IDLE:?}): {}", shown(statement)));
    }
    let asked = caused.keys().map(|statement| (statement.clone(), grown.get(statement).copied().unwrap_or(0)));
    Ok(asked.max_by_key(|(_, asked)| *asked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn a_path_that_asks_for_nothing_tells_nothing() {
        let mut app = counting(true).await.unwrap();
        app.subject.hints.paths = vec!["/static".into()];
        let seen = look(&app.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Unclear(why) if why.contains("[check] paths")), "{seen:?}");
    }

    #[tokio::test]
    async fn without_the_extension_the_reason_shows_no_secret() {
        let mut app = counting(true).await.unwrap();
        let url = "postgres://app:hunter22@127.0.0.1:9/x";
        app.subject.stores.database = Some(Named { by: "a".into(), url: Ok(Secret::new(url)) });
        let seen = look(&app.subject).await;
        assert!(
            matches!(&seen.outcome, Outcome::Unclear(why) if why.contains("pg_stat_statements") && !why.contains("hunter22")),
            "{seen:?}"
        );
    }
}
