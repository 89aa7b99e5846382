//! A complete upload, looked at and made into one request for the app.

use std::{fs::File, io, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use seaworthy_core::{Body, RequestContext, full_body};
use serde_json::{Map, Value, json};

use super::store::Description;
use crate::{
    judge::Claim,
    problems::Refusal,
    screening::Screening,
    segments::{self, Segment, Slice},
    settings::{Deliver, UploadPolicy},
    uploads::Joint,
};

/// Keys of the metadata that say what the file is; the others become fields.
const NAMES: [&str; 2] = ["filename", "name"];
const TYPES: [&str; 2] = ["filetype", "type"];

impl Description {
    pub(super) fn claim(&self) -> Claim<'_> {
        let of = |keys: [&str; 2]| {
            let found = keys.iter().find_map(|key| self.metadata.iter().find(|(name, _)| name == key));
            found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        Claim { name: of(NAMES), declared: of(TYPES) }
    }

    fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_field = |key: &str| !NAMES.contains(&key) && !TYPES.contains(&key);
        self.metadata.iter().filter(move |(key, _)| is_field(key)).map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// A request for the app, but for its address and what else the client said.
pub(super) struct Parcel {
    content_type: HeaderValue,
    length: u64,
    body: Body,
}

/// Looks at an upload and wraps it. Blocking.
pub(super) fn wrap(
    joint: &Joint,
    policy: &UploadPolicy,
    route: &str,
    context: Option<&RequestContext>,
    description: &Description,
) -> Result<Parcel, Refusal> {
    let file = joint.store.open(&description.id).map_err(|error| Refusal::storage(&error))?;
    let file = Arc::new(file);
    let claim = description.claim();
    let screening = Screening { joint, policy, route, context };
    let (kind, renamed) = screening.one(claim, &Slice::new(&file, 0..description.length))?;
    let name = renamed.or_else(|| claim.name.map(str::to_owned)).unwrap_or_else(|| format!("upload.{}", kind.name));
    let declared = claim.declared.unwrap_or("application/octet-stream");
    let parcel = match policy.deliver {
        Deliver::Form => form(description, &policy.field, &name, declared, file),
        Deliver::Reference => reference(joint, description, &name, kind.name, declared),
    };
    parcel.map_err(|error| Refusal::storage(&error))
}

/// One ordinary form: fields first, so that an app that streams has them.
fn form(description: &Description, field: &str, name: &str, declared: &str, file: Arc<File>) -> io::Result<Parcel> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let boundary: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut head = String::new();
    for (key, value) in description.fields() {
        head.push_str(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n"));
    }
    // Neither has a quote or a control character: names with one are refused or replaced, types are from our own list.
    head.push_str(&format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: \
         {declared}\r\n\r\n"
    ));
    let segments = vec![
        Segment::Bytes(head.into()),
        Segment::File(file, 0..description.length),
        Segment::Bytes(Bytes::from(format!("\r\n--{boundary}--\r\n"))),
    ];
    let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"));
    Ok(Parcel {
        content_type: content_type.map_err(io::Error::other)?,
        length: segments::length(&segments),
        body: segments::body(segments),
    })
}

/// Where the file is; from then on it is the app's, to move or to remove.
fn reference(joint: &Joint, description: &Description, name: &str, kind: &str, declared: &str) -> io::Result<Parcel> {
    let path = joint.store.hand_over(&description.id, kind)?;
    let fields: Map<String, Value> =
        description.fields().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
    let told = json!({
        "path": path.display().to_string(),
        "name": name,
        "type": declared,
        "size": description.length,
        "fields": fields,
    });
    let body = told.to_string();
    Ok(Parcel {
        content_type: HeaderValue::from_static("application/json"),
        length: body.len() as u64,
        body: full_body(body),
    })
}

impl Parcel {
    /// The request: what the client said of itself stays, what it said of its piece goes.
    pub(super) fn request(
        self,
        target: &str,
        headers: &HeaderMap,
        context: Option<Arc<RequestContext>>,
    ) -> Option<Request<Body>> {
        let mut request = Request::new(self.body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = target.parse().ok()?;
        let of_the_piece = |name: &str| {
            let of_the_transfer = ["accept-encoding", "content-encoding", "expect", "range", "transfer-encoding"];
            name.starts_with("upload-")
                || name.starts_with("if-")
                || ["tus-resumable", "prefer", "x-http-method-override"].contains(&name)
                || of_the_transfer.contains(&name)
        };
        *request.headers_mut() = headers.clone();
        for name in headers.keys().filter(|name| of_the_piece(name.as_str())) {
            request.headers_mut().remove(name);
        }
        request.headers_mut().insert(header::CONTENT_TYPE, self.content_type);
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(self.length));
        if let Some(context) = context {
            request.extensions_mut().insert(context);
        }
        Some(request)
    }
}
