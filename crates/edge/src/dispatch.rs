//! From a parsed request to the pipeline of its route.

use std::{net::IpAddr, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use seaworthy_core::{Body, Problem, RequestContext, RequestId, RequestIdSource, empty_body};
use tower::{Service, ServiceExt};

use crate::{headers, routing::RouteTable};

/// What one core needs to answer requests.
pub(crate) struct Core {
    /// Swapped whole on reload; a request in flight keeps the handler that it started with.
    pub table: ArcSwap<RouteTable>,
    pub ids: RequestIdSource,
}

impl Core {
    /// Answers one request: context, route, pipeline, and the id on the answer.
    pub(crate) async fn answer(self: Arc<Self>, client: Option<IpAddr>, request: Request<Incoming>) -> Response<Body> {
        let (request, id, mut handler) = {
            let table = self.table.load();
            let route = table.find(request.method(), request.uri().path());
            let given = request.headers().get(headers::REQUEST_ID).and_then(RequestId::from_client);
            let id = given.unwrap_or_else(|| self.ids.next());
            let context = RequestContext {
                id: id.clone(),
                client,
                route: route.name.clone(),
                received: Instant::now(),
                scheme: "http",
                wants_html: Problem::wants_html(request.headers()),
            };
            let (parts, body) = request.into_parts();
            let mut request = Request::from_parts(parts, erase(body));
            request.extensions_mut().insert(Arc::new(context));
            (request, id, route.handler.clone())
        };
        let Ok(ready) = handler.ready().await;
        let Ok(mut response) = ready.call(request).await;
        response.headers_mut().insert(headers::REQUEST_ID, id.header());
        response
    }
}

/// An empty body costs no allocation; most requests have one.
fn erase(body: Incoming) -> Body {
    if body.is_end_stream() { empty_body() } else { body.map_err(Into::into).boxed_unsync() }
}
