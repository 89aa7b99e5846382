//! The errors that this room answers.

use http::{Response, StatusCode};
use seaworthy_core::{Body, Problem, ProblemKind, RequestContext};

/// A key is asked for.
pub(crate) const KEY_MISSING: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_KEY_MISSING",
    status: StatusCode::BAD_REQUEST,
    title: "This request needs an Idempotency-Key",
    advice: "Send the header `Idempotency-Key` with a value of its own for each operation, a UUID for example, and the same \
             value when you repeat the request.",
};

/// A key that cannot be used.
pub(crate) const KEY_MALFORMED: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_KEY_MALFORMED",
    status: StatusCode::BAD_REQUEST,
    title: "The Idempotency-Key cannot be used",
    advice: "Send one key of 1 to 255 visible ASCII characters, in quotes or without, a UUID for example.",
};

/// The first request is not done yet.
pub(crate) const KEY_RUNNING: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_RUNNING",
    status: StatusCode::CONFLICT,
    title: "A request with this Idempotency-Key is still running",
    advice: "Repeat it in a moment, with the same key: then you get its answer.",
};

/// The same key, another request.
pub(crate) const KEY_REUSED: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_KEY_REUSED",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "This Idempotency-Key belongs to another request",
    advice: "Take a new key for a new request. A repeated one must be the same to the byte: query, content type and body.",
};

/// Nobody knows what became of the first request.
pub(crate) const OUTCOME_UNKNOWN: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_OUTCOME_UNKNOWN",
    status: StatusCode::CONFLICT,
    title: "Nobody knows what became of the first request with this Idempotency-Key",
    advice: "It was given to the app, and no answer was recorded: it may have taken effect or not, so it is not run again. \
             Look whether it did; if not, send it with a new key.",
};

/// It was answered, and the answer is not there any more.
pub(crate) const ANSWER_NOT_KEPT: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_ANSWER_NOT_KEPT",
    status: StatusCode::CONFLICT,
    title: "The request with this Idempotency-Key was answered, and the answer was not kept",
    advice: "It is done and not run again. Ask for its result another way. Operators: the answer was a stream, or larger \
             than `idempotency.answer_limit`, or the store was full.",
};

/// The keys cannot be written down.
pub(crate) const STORE_FAILED: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_STORE",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The request was not run: its Idempotency-Key cannot be recorded",
    advice: "Repeat it later with the same key. Operators: see the log for what is wrong with `api.idempotency_store`, a full \
             disk for example.",
};

/// There are too many keys.
pub(crate) const STORE_FULL: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_STORE_FULL",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The request was not run: there is no room for another Idempotency-Key",
    advice: "Repeat it later with the same key. Operators: raise `api.idempotency_store.keys`, or keep keys for less time \
             (`ttl`).",
};

/// One client has too many keys.
pub(crate) const CLIENT_FULL: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_CLIENT_FULL",
    status: StatusCode::TOO_MANY_REQUESTS,
    title: "The request was not run: too many of your Idempotency-Keys are kept",
    advice: "Repeat it when older keys have expired. Operators: see `api.idempotency_store.keys_per_client`.",
};

/// A repeated request whose body does not come to its end.
pub(crate) const REPEAT_BROKEN: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_BODY_BROKEN",
    status: StatusCode::BAD_REQUEST,
    title: "The body of the repeated request did not come to its end",
    advice: "Repeat the request, with its whole body.",
};

/// An answer of the app that broke off while it was recorded.
pub(crate) const ANSWER_BROKEN: ProblemKind = ProblemKind {
    code: "SEA_API_IDEMPOTENCY_ANSWER_BROKEN",
    status: StatusCode::BAD_GATEWAY,
    title: "The app's answer broke off",
    advice: "The request may have taken effect. Look whether it did before you send it with a new key.",
};

/// A path without its version, or one that no route has.
pub(crate) const NO_VERSION: ProblemKind = ProblemKind {
    code: "SEA_API_NO_VERSION",
    status: StatusCode::NOT_FOUND,
    title: "This path has no version",
    advice: "Put the version of the API in front of the path. Operators: `api.version_prefix` says which one, and a route with \
             `versioned = false` needs none.",
};

/// A path that two readers take for different ones.
pub(crate) const AMBIGUOUS_PATH: ProblemKind = ProblemKind {
    code: "SEA_API_AMBIGUOUS_PATH",
    status: StatusCode::BAD_REQUEST,
    title: "This path can be read in two ways",
    advice: "Write it plainly: no empty segments, no `.` or `..`, no escaped slashes, and letters and digits as they are.",
};

/// An operation after its end.
pub(crate) const GONE: ProblemKind = ProblemKind {
    code: "SEA_API_GONE",
    status: StatusCode::GONE,
    title: "This operation has been taken out of service",
    advice: "Use its successor: the `Link` header of this answer names it, or the page that says what to do.",
};

/// The answer of one kind.
pub(crate) fn answer(kind: ProblemKind, context: &RequestContext) -> Response<Body> {
    Problem::new(kind).into_response(context)
}

/// The same, with when to try again.
pub(crate) fn answer_later(kind: ProblemKind, seconds: u64, context: &RequestContext) -> Response<Body> {
    Problem::new(kind).retry_after(seconds).into_response(context)
}
