//! Upgraded connections (WebSocket and others, RFC 9110, 7.8): after the 101 the bytes pass unread in both directions.

use http::{HeaderValue, Response, header};
use hyper::{
    body::Incoming,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use seaworthy_core::{Body, Shutdown, empty_body};
use tokio::io::copy_bidirectional;

use crate::{headers, pool::Connection};

/// Joins the client's and the app's connection and hands the app's 101 to the client.
pub(crate) fn splice(
    mut response: Response<Incoming>,
    client: OnUpgrade,
    connection: Connection,
    tasks: &Shutdown,
) -> Response<Body> {
    let app = hyper::upgrade::on(&mut response);
    let protocol = headers::remove_hop_by_hop(response.headers_mut());
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        parts.headers.insert(header::UPGRADE, protocol);
    }
    tasks.spawn(async move {
        // Keeps the sender alive until the hand-over (hyper ends a connection whose sender is gone), and the instance's
        // count until the end.
        let _connection = connection;
        if let Err(error) = join(client, app).await {
            tracing::debug!(%error, "upgraded connection ended");
        }
    });
    Response::from_parts(parts, empty_body())
}

async fn join(client: OnUpgrade, app: OnUpgrade) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (client, app): (Upgraded, Upgraded) = tokio::try_join!(client, app)?;
    copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(app)).await?;
    Ok(())
}
