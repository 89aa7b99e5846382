//! What is written shows in time, and what is kept can be taken out.

use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::sleep;

use super::{GRACE, Seen, says::Says};
use crate::{
    allowed::Canary,
    http::{Answer, Client, HttpError, full},
    probe::Cases,
    probes::{
        cached_responses::fresh,
        copies::{is_copy, twice},
        injection,
    },
};

/// A page that may be old for longer is not waited for.
const WAIT: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(250);
const NAME_IT: &str = "no write was tried, so nobody knows how old a page gets behind its back: say where a marked text may be \
     written, [check] canary = { post = \"/comments\", body = '{\"text\": \"{canary}\"}', pages = [\"/comments\"] }";

/// A page that shows what was written, before anything was.
struct Page<'a> {
    path: &'a str,
    says: Says,
    kept: bool,
}

/// Writes a marked text and waits until its pages show it, no longer than they say that they may be old. `none_kept`: no route
/// is kept, so that the pages need not be either. What came of it, in words.
pub(super) async fn written(cases: &mut Cases, client: &Client, canary: Option<&Canary>, none_kept: bool) -> String {
    let Some(canary) = canary else {
        cases.told_nothing(NAME_IT);
        return String::new();
    };
    let mut pages = Vec::new();
    for path in &canary.pages {
        match twice(client, path).await {
            Ok((first, second)) => {
                pages.push(Page { path, says: Says::of_both(&first, &second), kept: is_copy(&first, &second) })
            }
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    let kept = pages.iter().filter(|page| page.kept).count();
    if kept == 0 && !none_kept {
        let why = "no page of [check] canary is among those that are kept, so that its write proves nothing of them: name one";
        cases.told_nothing(why);
    }
    let mark = format!("sw{:016x}", fastrand::u64(..));
    if let Err(why) = injection::sanitization::write(client, canary, &mark).await {
        cases.told_nothing(why);
        return String::new();
    }
    let written = Instant::now();
    cases.plan_more(pages.len());
    let mut latest = Duration::ZERO;
    for page in &pages {
        match shows(client, page, &mark, written).await {
            Ok(Some(after)) => {
                latest = latest.max(after);
                let after = after.as_secs_f64();
                let seen =
                    format!("GET {} (says {}) shows what was written after {after:.1} s", page.path, page.says.words());
                cases.tried(true, seen);
            }
            Ok(None) => overdue(cases, client, page, &mark).await,
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    format!(
        "what was written to {} showed on {} pages, {kept} of them kept before, within {:.1} s",
        canary.post,
        pages.len(),
        latest.as_secs_f64()
    )
}

/// After how long the page shows the text; `None`: not in the time that it has.
async fn shows(client: &Client, page: &Page<'_>, mark: &str, written: Instant) -> Result<Option<Duration>, HttpError> {
    let limit = Duration::from_secs(page.says.staleness().unwrap_or(0).saturating_add(GRACE)).min(WAIT);
    loop {
        let asked = written.elapsed();
        if client.get(page.path).await?.text().contains(mark) {
            return Ok(Some(asked));
        }
        if asked > limit {
            return Ok(None);
        }
        sleep(STEP).await;
    }
}

/// The page shows an old state. Whether that is too old, only what the app makes now can tell.
async fn overdue(cases: &mut Cases, client: &Client, page: &Page<'_>, mark: &str) {
    let path = page.path;
    let now = client.get(&fresh(path)).await;
    let made = now.is_ok_and(|answer| answer.text().contains(mark));
    match page.says.staleness() {
        _ if !made => cases.told_nothing(format!("GET {path} does not show what was written, under any address")),
        Some(limit) if limit.saturating_add(GRACE) >= WAIT.as_secs() => cases.told_nothing(format!(
            "GET {path} is still old {} s after a write, and says that it may be {limit} s: that long nobody waits here; purge \
             it on writes, or name another page in [check] canary",
            WAIT.as_secs()
        )),
        limit => cases.tried(
            false,
            format!(
                "GET {path} still shows what was before a write, and says that it may be {} s old",
                limit.unwrap_or(0)
            ),
        ),
    }
}

/// Takes a copy that only this check knows out by the admin API, and asks again. What came of it, in words.
pub(super) async fn purge(cases: &mut Cases, client: &Client, admin: Option<&Client>, kept: &[&Seen]) -> String {
    let (Some(admin), Some(seen)) = (admin, kept.first()) else { return "no purge was tried".into() };
    let own = fresh(&seen.path);
    let first = match twice(client, &own).await {
        Ok((first, second)) if is_copy(&first, &second) => first,
        _ => return "no purge was tried: what is kept does not depend on a query".into(),
    };
    let answer = match order(admin, &own).await {
        Ok(answer) if answer.status == StatusCode::OK => answer,
        Ok(answer) => return format!("no purge was tried: the admin API answers {}", answer.status.as_u16()),
        Err(error) => return format!("no purge was tried: {error}"),
    };
    cases.plan_more(1);
    match client.get(&own).await {
        Ok(after) => {
            // By the answer that was made: a copy of this second has an age of nothing, and no more need be on it.
            let gone = !is_copy(&first, &after);
            let how = if gone { "made anew" } else { "still from a copy" };
            cases.tried(gone, format!("GET {} after its purge ({}): {how}", seen.path, answer.text().trim()));
        }
        Err(error) => cases.told_nothing(error.to_string()),
    }
    "a purge took a copy out".into()
}

async fn order(admin: &Client, path: &str) -> Result<Answer, HttpError> {
    let mut request = admin.request(Method::POST, "/cache/purge");
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *request.body_mut() = full(serde_json::json!({ "url": path }).to_string());
    admin.send(request).await
}
