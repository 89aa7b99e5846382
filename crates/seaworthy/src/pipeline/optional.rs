//! Layers that most routes do without.
//!
//! `ServiceBuilder::option_layer` names the service below twice in its type, with the layer and without it: the types of
//! twenty layers would be a million times as long as that of one, and the compiler needs as much memory. Here a layer that
//! is on costs a box for each request, and one that is off nothing at all.

use std::convert::Infallible;

use http::{Request, Response};
use seaworthy_core::{Body, Handler};
use tower::{Layer, Service};

/// Layers in the order in which they see a request.
#[derive(Default)]
pub struct Optional(Vec<Box<dyn FnOnce(Handler) -> Handler>>);

impl Optional {
    /// One more, below those before it, if it is on.
    pub fn layer<L>(mut self, layer: Option<L>) -> Self
    where
        L: Layer<Handler> + 'static,
        L::Service:
            Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
    {
        if let Some(layer) = layer {
            self.0.push(Box::new(move |below| Handler::new(layer.layer(below))));
        }
        self
    }

    /// Whether all of them are off.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them around a service.
    pub fn around(self, service: Handler) -> Handler {
        self.0.into_iter().rev().fold(service, |below, layer| layer(below))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use seaworthy_core::empty_body;
    use tower::{ServiceExt, layer::layer_fn, service_fn};

    use super::*;

    /// Writes its name behind those that were there.
    fn signing(name: &'static str) -> impl Layer<Handler, Service = Handler> {
        layer_fn(move |below: Handler| {
            Handler::new(below.map_request(move |mut request: Request<Body>| {
                request.headers_mut().append("seen", HeaderValue::from_static(name));
                request
            }))
        })
    }

    #[tokio::test]
    async fn the_first_sees_a_request_first_and_what_is_off_is_not_there() {
        let app = Handler::new(service_fn(|request: Request<Body>| async move {
            let seen: Vec<_> = request.headers().get_all("seen").iter().map(HeaderValue::as_bytes).collect();
            let text = HeaderValue::from_bytes(&seen.join(&b' ')).unwrap();
            let mut response = Response::new(empty_body());
            response.headers_mut().insert("seen", text);
            Ok(response)
        }));
        let off: Option<tower::layer::util::Identity> = None;
        let handler = Optional::default().layer(Some(signing("a"))).layer(off).layer(Some(signing("b"))).around(app);
        let answer = handler.oneshot(Request::new(empty_body())).await.unwrap();
        assert_eq!(answer.headers()["seen"], "a b");
    }
}
