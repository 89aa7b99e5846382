//! A complete upload on its way to the app, and what is told of it.

use std::io;

use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use seaworthy_core::{Body, Delivery, full_body};
use tokio::task::spawn_blocking;

use super::{
    REQUEST, delivery,
    exchange::{Exchange, blocking},
    layer::Below,
    store::{Answer, Description},
    verdict::Verdict,
};
use crate::{
    layer::refuse,
    problems::{Refusal, STORAGE},
};

/// Of an answer of the app, kept for clients that ask again.
const KEPT_ANSWER: usize = 256 << 10;

impl Exchange {
    /// Gives a complete upload to the app, once, and tells what it said.
    pub(super) async fn complete(
        &self,
        description: &mut Description,
        below: Below,
        done: StatusCode,
    ) -> Result<Response<Body>, Refusal> {
        if description.answer.is_none() {
            let (answer, result) = match self.deliver(description, below).await {
                Ok((answer, Verdict::Taken)) => (answer, "accepted"),
                Ok((answer, Verdict::Refused)) => (answer, "refused_by_app"),
                Ok((answer, verdict)) => return self.not_yet(description, &answer, verdict, done).await,
                // What may be otherwise in a minute is no end.
                Err(refusal) if refusal.kind.status.is_server_error() => return Err(refusal),
                Err(refusal) => (kept(refuse(&refusal, self.context.as_deref())).await, refusal.kind.code),
            };
            self.route.count(result);
            description.answer = Some(answer);
            let (joint, finished) = (self.route.joint().clone(), description.clone());
            blocking(move || joint.store.finish(&finished)).await?;
        }
        let Some(answer) = &description.answer else { return Err(Refusal::new(STORAGE, "")) };
        let wants = self.headers.get("prefer").is_some_and(|value| value == "return=representation");
        if answer.status >= 400 || wants {
            let mut told = respond(answer);
            self.describe(told.headers_mut(), description, description.length);
            return Ok(told);
        }
        // tus has 204 for a piece, and clients insist on it; what the app said is to be had with GET.
        let mut told = self.progress(description, done, description.length);
        if let Ok(place) = HeaderValue::try_from(format!("{}/{}", self.place.collection, description.id)) {
            told.headers_mut().insert(header::CONTENT_LOCATION, place);
        }
        Ok(told)
    }

    /// What is told when the app has it not, or nobody knows.
    async fn not_yet(
        &self,
        description: &mut Description,
        answer: &Answer,
        verdict: Verdict,
        done: StatusCode,
    ) -> Result<Response<Body>, Refusal> {
        let is_creation = done == StatusCode::CREATED;
        // Of nothing, nothing can be held back.
        let fate = match (is_creation, description.length) {
            (true, 0) => "it was empty and is removed, and its client may begin anew",
            _ => "it is kept, and offered again under the same key when its client asks",
        };
        tracing::warn!(id = description.id, status = answer.status, "{}; {fate}", verdict.words());
        if is_creation && description.length > 0 {
            return self.hold_back(description, done).await;
        }
        Ok(match verdict.refusal(answer.status, answer.location.as_deref()) {
            Some(refusal) => respond(&kept(refuse(&refusal, self.context.as_deref())).await),
            None => respond(answer),
        })
    }

    /// Makes a creation that brought all bytes one that lacks the last. With an error its client would begin another one,
    /// which the app gets under another key; and "all is there" clients take for a success, and never ask again.
    async fn hold_back(&self, description: &mut Description, done: StatusCode) -> Result<Response<Body>, Refusal> {
        let (joint, id, offset) = (self.route.joint().clone(), description.id.clone(), description.length - 1);
        blocking(move || joint.store.settle(&id, &joint.store.open(&id)?, offset)).await?;
        description.held_back = true;
        Ok(self.progress(description, done, offset))
    }

    async fn deliver(&self, description: &Description, below: Below) -> Result<(Answer, Verdict), Refusal> {
        let joint = self.route.joint().clone();
        let place = joint.place(self.route.name()).await?;
        let (route, context, described) = (self.route.clone(), self.context.clone(), description.clone());
        let wrapping = joint.clone();
        let wrapped = spawn_blocking(move || {
            let _place = place;
            delivery::wrap(&wrapping, route.policy(), route.name(), context.as_deref(), &described)
        });
        let parcel = wrapped.await.map_err(|error| Refusal::storage(&io::Error::other(error)))?;
        let request = parcel?.request(&description.target, &self.headers, self.context.clone());
        let mut request = request.ok_or_else(|| Refusal::new(REQUEST, "The address is none."))?;
        // Should we be killed between the app's answer and our note of it, the app can tell that it is the same one.
        if let Ok(key) = HeaderValue::try_from(format!("\"{}\"", description.id)) {
            request.headers_mut().insert("idempotency-key", key);
        }
        let Ok(answer) = below(request).await;
        let delivery = answer.extensions().get::<Delivery>().copied();
        let answer = kept(answer).await;
        let verdict = Verdict::of(answer.status, answer.location.as_deref(), delivery.as_ref());
        // Where nobody knows what the app did with it, a file that it was told of may be its own already.
        if verdict.is_not_taken() {
            let id = description.id.clone();
            blocking(move || {
                joint.store.take_back(&id);
                Ok(())
            })
            .await?;
        }
        Ok((answer, verdict))
    }
}

async fn kept(answer: Response<Body>) -> Answer {
    let (parts, mut body) = answer.into_parts();
    let text =
        |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, location) = (text(header::CONTENT_TYPE), text(header::LOCATION));
    let mut kept = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        kept.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if kept.len() > KEPT_ANSWER {
            // An answer that is too long to be kept is told without its body.
            kept.clear();
            break;
        }
    }
    Answer { status: parts.status.as_u16(), content_type, location, body: String::from_utf8_lossy(&kept).into_owned() }
}

pub(super) fn respond(answer: &Answer) -> Response<Body> {
    let mut response = Response::new(full_body(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let fields = [(header::CONTENT_TYPE, &answer.content_type), (header::LOCATION, &answer.location)];
    for (name, value) in fields {
        if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_str(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
