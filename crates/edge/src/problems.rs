//! The errors that the edge answers itself.

use http::StatusCode;
use seaworthy_core::ProblemKind;

/// The app has not answered its health check yet, or is being started again.
pub(crate) const APP_NOT_READY: ProblemKind = ProblemKind {
    code: "SEA_EDGE_APP_NOT_READY",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The app is not ready",
    advice: "Try again in a moment. Operators: `/readyz` of the admin listener says what it waits for.",
};

/// No connection to the app could be made.
pub(crate) const UNREACHABLE: ProblemKind = ProblemKind {
    code: "SEA_EDGE_UPSTREAM_UNREACHABLE",
    status: StatusCode::BAD_GATEWAY,
    title: "The app cannot be reached",
    advice: "Try again in a moment. Operators: check that the app listens where Seaworthy expects it.",
};

/// The connection to the app ended before its answer did.
pub(crate) const BROKEN: ProblemKind = ProblemKind {
    code: "SEA_EDGE_UPSTREAM_BROKEN",
    status: StatusCode::BAD_GATEWAY,
    title: "The app ended the connection",
    advice: "Try again if the request is safe to repeat. Operators: look for a crash in the app's output at this time.",
};

/// The app took longer than `first_byte`.
pub(crate) const TIMEOUT: ProblemKind = ProblemKind {
    code: "SEA_EDGE_UPSTREAM_TIMEOUT",
    status: StatusCode::GATEWAY_TIMEOUT,
    title: "The app took too long to answer",
    advice: "Try again later. Operators: make the route faster, or raise `first_byte` for it.",
};

/// The client stopped in the middle of its body.
pub(crate) const BODY_STALLED: ProblemKind = ProblemKind {
    code: "SEA_EDGE_REQUEST_BODY_STALLED",
    status: StatusCode::REQUEST_TIMEOUT,
    title: "The request body stopped coming",
    advice: "Send the request again without pauses longer than the server's idle timeout.",
};

/// The app failed, and its answer was not meant for clients.
pub(crate) const APP_FAILED: ProblemKind = ProblemKind {
    code: "SEA_EDGE_APP_ERROR",
    status: StatusCode::INTERNAL_SERVER_ERROR,
    title: "The app failed to answer this request",
    advice: "Try again later; if it stays, report the request id.",
};

/// A request target that is no path.
pub(crate) const BAD_TARGET: ProblemKind = ProblemKind {
    code: "SEA_EDGE_BAD_TARGET",
    status: StatusCode::BAD_REQUEST,
    title: "The request target is not a path",
    advice: "Send an ordinary request for a path; this is no forward proxy.",
};

/// None or several `Host` headers.
pub(crate) const BAD_HOST: ProblemKind = ProblemKind {
    code: "SEA_EDGE_BAD_HOST",
    status: StatusCode::BAD_REQUEST,
    title: "The request must name one host",
    advice: "Send exactly one Host header.",
};

/// The client's body ended early or was malformed.
pub(crate) const BODY_BROKEN: ProblemKind = ProblemKind {
    code: "SEA_EDGE_REQUEST_BODY_BROKEN",
    status: StatusCode::BAD_REQUEST,
    title: "The request body broke off",
    advice: "Send the whole body, in the length or the chunks that its headers announce.",
};
