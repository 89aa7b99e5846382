//! A new upload: what is refused in the end is refused now, and what is refused leaves nothing.

use http::{HeaderValue, Response, StatusCode, header};
use seaworthy_core::Body;

use super::{
    REQUEST, ROOM, SHARE,
    exchange::{Exchange, blocking},
    headers,
    layer::Below,
    ledger::{Full, Limits, MOST},
    store::Description,
};
use crate::{
    judge,
    problems::{Refusal, TOO_LARGE},
};

/// Extensions of tus that clients ask for without asking whether they are offered, each with its field.
const NOT_OFFERED: [(&str, &str); 2] = [
    ("upload-concat", "Uploads in parallel pieces (concatenation) are not offered: leave `parallelUploads` at 1."),
    ("upload-defer-length", "The length must be known when an upload begins: send Upload-Length."),
];

impl Exchange {
    pub(super) async fn create(&self, body: &mut Body, below: Below) -> Result<Response<Body>, Refusal> {
        let mut description = self.description()?;
        // What will be refused in the end need not be sent first.
        judge::by_claim(description.claim(), self.route.policy())?;
        self.piece(body)?;
        self.fits(body, description.length)?;
        description = self.reserve(description).await?;
        let _taken = self.route.joint().store.take(&description.id);
        let mut answer = self.begin(&mut description, body, below).await;
        match &mut answer {
            Ok(answer) if answer.status().is_success() => {
                if let Ok(location) = HeaderValue::try_from(format!("{}/{}", self.place.collection, description.id)) {
                    answer.headers_mut().insert(header::LOCATION, location);
                }
            }
            // Refused for good, or by us: its client was not told where it is.
            _ => self.remove(&description.id).await?,
        }
        answer
    }

    /// What the head says of it.
    fn description(&self) -> Result<Description, Refusal> {
        if let Some((_, why)) = NOT_OFFERED.iter().find(|(field, _)| self.headers.contains_key(*field)) {
            return Err(Refusal::new(REQUEST, *why));
        }
        let Some(length) = headers::number(&self.headers, "upload-length")? else {
            return Err(Refusal::new(REQUEST, "Upload-Length is missing."));
        };
        let max = self.route.policy().max.0;
        if length > max {
            return Err(Refusal::new(TOO_LARGE, format!("A file may have {max} bytes.")));
        }
        let metadata_field = headers::metadata_field(&self.headers)?;
        let metadata = metadata_field.as_deref().map(headers::metadata).transpose()?.unwrap_or_default();
        let (target, owner, client) = (self.target.clone(), self.owner(), self.client());
        Ok(Description { target, length, metadata, metadata_field, owner, client, ..Description::default() })
    }

    async fn reserve(&self, description: Description) -> Result<Description, Refusal> {
        let joint = self.route.joint().clone();
        let settings = &joint.settings;
        let lifetime = settings.resumable_for.0;
        let limits = Limits {
            room: settings.resumable_room.0,
            // A share that is smaller than one file of this route would be a riddle.
            room_each: settings.resumable_room_each.0.max(self.route.policy().max.0),
            each: settings.resumable_each,
        };
        let made = blocking(move || joint.store.create(description, lifetime, limits)).await?;
        made.map_err(|full| match full {
            Full::All => Refusal::new(ROOM, ""),
            // More room would not help.
            Full::Number => Refusal::new(
                ROOM,
                format!(
                    "{MOST} uploads are not complete, and there may be no more, however small: one must be completed, or \
                     ended with DELETE, or expire (`resumable_for`)."
                ),
            ),
            Full::Client => Refusal::new(SHARE, ""),
        })
    }

    /// Takes what came with it, and makes it known.
    async fn begin(
        &self,
        description: &mut Description,
        body: &mut Body,
        below: Below,
    ) -> Result<Response<Body>, Refusal> {
        let answer = if description.length == 0 || !http_body::Body::is_end_stream(body) {
            self.append(description, body, below, StatusCode::CREATED).await?
        } else {
            self.progress(description, StatusCode::CREATED, 0)
        };
        if description.answer.is_none() && answer.status().is_success() {
            let (joint, made) = (self.route.joint().clone(), description.clone());
            blocking(move || joint.store.announce(&made)).await?;
        }
        Ok(answer)
    }
}
