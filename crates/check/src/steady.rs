//! The steady state: what a drill needs before it breaks anything, and what must be back after it.

use std::time::Duration;

use http::StatusCode;
use tokio::time::sleep;

use crate::{
    http::Client,
    instances::{Instance, instances},
};

/// Once may be luck.
const TIMES: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// Asks several times: the target answers without failing, says that it is ready where it says anything, and every
/// instance that its admin API lists is ready. What `GET /` answers, or what is not steady.
pub(crate) async fn steady(public: &Client, admin: Option<&Client>) -> Result<StatusCode, String> {
    let mut first = None;
    for round in 0..TIMES {
        if round > 0 {
            sleep(PAUSE).await;
        }
        let status = public.head_of("/").await.map_err(|error| error.to_string())?.status;
        if status.is_server_error() {
            return Err(format!("GET / answers {}", status.as_u16()));
        }
        if *first.get_or_insert(status) != status {
            return Err(format!("GET / answers {} and then {}", first.unwrap_or(status).as_u16(), status.as_u16()));
        }
        if let Some(admin) = admin {
            ready(admin).await?;
        }
    }
    first.ok_or_else(|| "nothing was asked".into())
}

async fn ready(admin: &Client) -> Result<(), String> {
    let said = admin.head_of("/readyz").await.map_err(|error| error.to_string())?.status;
    if said.is_server_error() {
        return Err(format!("/readyz answers {}", said.as_u16()));
    }
    // An admin API that lists no instances has said all that it can.
    let listed = instances(admin).await.unwrap_or_default();
    match listed.iter().find(|one| !one.is_ready()) {
        Some(Instance { id, state, .. }) => Err(format!("{id} is {state}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{
        fixture::{self, reply},
        http::Transcript,
    };

    async fn of(statuses: [u16; 3]) -> Result<StatusCode, String> {
        let count = AtomicUsize::new(0);
        let fixture =
            fixture::public(move |_| reply(statuses[count.fetch_add(1, Ordering::Relaxed).min(2)], &[], "")).unwrap();
        steady(&Client::new(fixture.subject.url.clone().unwrap(), Transcript::default()), None).await
    }

    #[tokio::test]
    async fn one_good_answer_is_no_steady_state() {
        assert_eq!(of([404, 404, 404]).await, Ok(StatusCode::NOT_FOUND));
        assert!(of([200, 200, 503]).await.is_err_and(|why| why.contains("503")));
        assert!(of([200, 404, 200]).await.is_err_and(|why| why.contains("200 and then 404")));
    }

    #[tokio::test]
    async fn an_instance_that_starts_is_not_steady() {
        let fixture = fixture::public(|request| match request.uri().path() {
            "/status" => reply(200, &[], "{\"instances\":[{\"id\":\"app-2\",\"state\":\"starting\"}]}"),
            _ => reply(200, &[], ""),
        });
        let fixture = fixture.unwrap();
        let client = Client::new(fixture.subject.url.clone().unwrap(), Transcript::default());
        assert_eq!(steady(&client, Some(&client)).await, Err("app-2 is starting".into()));
    }
}
