//! Resumable uploads (tus 1.0: core, creation, creation-with-upload, expiration, checksum, termination) for an app that has
//! none.
//!
//! Below a route's path, `/tus` makes uploads and `/tus/{id}` takes their pieces. What was acknowledged is on the disk. When
//! all is there it is looked at like any upload, and given to the app as one ordinary request; the answer is kept, so that a
//! client that did not hear it can ask again.
//!
//! The protocol: <https://tus.io/protocols/resumable-upload> (1.0.0).

mod append;
mod completion;
mod creation;
mod delivery;
mod exchange;
mod headers;
mod layer;
mod ledger;
mod store;
mod verdict;

pub use layer::{Resumable, ResumableService};
pub(crate) use store::Store;

use http::StatusCode;
use seaworthy_core::ProblemKind;

pub(crate) const VERSION: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TUS_VERSION",
    status: StatusCode::PRECONDITION_FAILED,
    title: "The request does not speak tus 1.0",
    advice: "Send `Tus-Resumable: 1.0.0` with every request, as tus clients do.",
};
pub(crate) const REQUEST: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TUS_REQUEST",
    status: StatusCode::BAD_REQUEST,
    title: "The request is not as tus 1.0 has it",
    advice: "Look at the header field that `detail` names.",
};
pub(crate) const OFFSET: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TUS_OFFSET",
    status: StatusCode::CONFLICT,
    title: "The piece does not begin where the upload ends",
    advice: "Ask with HEAD how much there is, and go on from there.",
};
pub(crate) const UNKNOWN: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TUS_UNKNOWN",
    status: StatusCode::NOT_FOUND,
    title: "There is no such upload",
    advice: "It has expired, was ended, or is somebody else's: begin a new one.",
};
pub(crate) const BUSY: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TUS_BUSY",
    status: StatusCode::LOCKED,
    title: "Another request is working on this upload",
    advice: "Try again in a second.",
};
pub(crate) const METHOD: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TUS_METHOD",
    status: StatusCode::METHOD_NOT_ALLOWED,
    title: "An upload does not understand this method",
    advice: "POST and OPTIONS to begin; HEAD, PATCH, GET and DELETE for one that has begun.",
};
pub(crate) const ROOM: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TUS_ROOM",
    status: StatusCode::INSUFFICIENT_STORAGE,
    title: "There is no room for another upload",
    advice: "Try again later. Operators: `resumable_room` of [uploads], unless `detail` names another limit.",
};

pub(crate) const SHARE: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TUS_SHARE",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "You have begun too many uploads, or too large ones, that are not complete",
    advice: "Complete them, or end them with DELETE. Operators: `resumable_each` and `resumable_room_each` of [uploads].",
};

pub(crate) const MOVED: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TUS_MOVED",
    status: StatusCode::BAD_GATEWAY,
    title: "The app takes this upload at another address",
    advice: "It is kept, and offered again when it is asked for. Operators: make the address that `detail` names the path of \
             the route, or let the app take uploads here.",
};
pub(crate) const SIGN_IN: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TUS_SIGN_IN",
    status: StatusCode::UNAUTHORIZED,
    title: "The app asks for a sign-in before it takes the upload",
    advice: "Sign in, and ask for the upload again: it is kept, and offered to the app again.",
};

/// What a client of tus sends, for browsers that ask before they send it.
pub const REQUEST_FIELDS: [&str; 10] = [
    "content-type",
    "idempotency-key",
    "prefer",
    "tus-resumable",
    "upload-checksum",
    "upload-length",
    "upload-metadata",
    "upload-offset",
    "x-http-method-override",
    "x-request-id",
];
/// What a client of tus reads, for browsers that show a page only what is named.
pub const RESPONSE_FIELDS: [&str; 12] = [
    "content-location",
    "location",
    "retry-after",
    "tus-checksum-algorithm",
    "tus-extension",
    "tus-max-size",
    "tus-resumable",
    "tus-version",
    "upload-expires",
    "upload-length",
    "upload-metadata",
    "upload-offset",
];
/// Methods that a client of tus uses.
pub const METHODS: [&str; 5] = ["DELETE", "GET", "HEAD", "PATCH", "POST"];

/// The piece is not what its checksum says: a status of tus' own.
pub(crate) fn checksum_mismatch() -> ProblemKind {
    ProblemKind {
        code: "SEA_UPLOADS_TUS_CHECKSUM",
        status: StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST),
        title: "The piece is not what its checksum says",
        advice: "Send it again: nothing of it was kept.",
    }
}

#[cfg(test)]
mod tests;
