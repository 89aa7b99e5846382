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

/// The head of the app's answer is larger than we read.
pub(crate) const ANSWER_HEAD_TOO_LARGE: ProblemKind = ProblemKind {
    code: "SEA_EDGE_ANSWER_HEAD_TOO_LARGE",
    status: StatusCode::BAD_GATEWAY,
    title: "The app answered with too many headers",
    advice: "Operators: send fewer headers (often it is cookies), or raise `edge.limits.headers`, to 256 at \
             most; a head too large in bytes has to become smaller in the app.",
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

/// A header that asks the app to do something else than the method says.
pub(crate) const METHOD_OVERRIDE: ProblemKind = ProblemKind {
    code: "SEA_EDGE_METHOD_OVERRIDE",
    status: StatusCode::BAD_REQUEST,
    title: "The request asks to be taken for one of another method",
    advice: "Send it with the method that is meant. Operators: `method_override` in [edge] lets such headers pass.",
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

/// A connection to the app took longer than `connect`.
pub(crate) const CONNECT_TIMEOUT: ProblemKind = ProblemKind {
    code: "SEA_EDGE_UPSTREAM_CONNECT_TIMEOUT",
    status: StatusCode::GATEWAY_TIMEOUT,
    title: "The app does not accept connections",
    advice: "Try again in a moment. Operators: the app is overloaded or its host cannot be reached; see `timeouts.connect`.",
};

/// Every instance of the app has failed lately.
pub(crate) const APP_EJECTED: ProblemKind = ProblemKind {
    code: "SEA_EDGE_APP_FAILING",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The app is failing",
    advice: "Try again later. Operators: connections to every instance failed several times in a row; see the log.",
};

/// The app answered 101 to a request that asked for no other protocol.
pub(crate) const SWITCHED: ProblemKind = ProblemKind {
    code: "SEA_EDGE_UPSTREAM_SWITCHED",
    status: StatusCode::BAD_GATEWAY,
    title: "The app switched protocols unasked",
    advice: "Operators: the app answered 101 to a request without `Upgrade`; look at its WebSocket handling.",
};

/// A head that two servers could read differently.
pub(crate) const BAD_FRAMING: ProblemKind = ProblemKind {
    code: "SEA_EDGE_BAD_FRAMING",
    status: StatusCode::BAD_REQUEST,
    title: "The length of the request is ambiguous",
    advice: "Send either one Content-Length or `Transfer-Encoding: chunked`, and end lines with CR LF (RFC 9112).",
};

/// A head that is no HTTP.
pub(crate) const BAD_REQUEST: ProblemKind = ProblemKind {
    code: "SEA_EDGE_BAD_REQUEST",
    status: StatusCode::BAD_REQUEST,
    title: "This is not an HTTP request",
    advice: "Send a request as RFC 9112 describes: no folded lines, no space before a colon, no control characters.",
};

/// A transfer coding that nobody offered.
pub(crate) const UNKNOWN_CODING: ProblemKind = ProblemKind {
    code: "SEA_EDGE_UNKNOWN_CODING",
    status: StatusCode::NOT_IMPLEMENTED,
    title: "This transfer coding is not supported",
    advice: "Send the body with `Transfer-Encoding: chunked` alone, or with a Content-Length.",
};

/// A request target beyond `limits.target`.
pub(crate) const TARGET_TOO_LONG: ProblemKind = ProblemKind {
    code: "SEA_EDGE_TARGET_TOO_LONG",
    status: StatusCode::URI_TOO_LONG,
    title: "The address of the request is too long",
    advice: "Send long data in a body. Operators: `limits.target` says how long it may be.",
};

/// A head beyond `limits.head` or `limits.headers`.
pub(crate) const HEAD_TOO_LARGE: ProblemKind = ProblemKind {
    code: "SEA_EDGE_HEAD_TOO_LARGE",
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    title: "The headers of the request are too large",
    advice: "Send fewer or shorter headers; large cookies are the usual cause. Operators: see `limits.head`.",
};

/// A head that did not come to its end in time.
pub(crate) const HEAD_TOO_SLOW: ProblemKind = ProblemKind {
    code: "SEA_EDGE_HEAD_TOO_SLOW",
    status: StatusCode::REQUEST_TIMEOUT,
    title: "The request did not come to its end in time",
    advice: "Send the request again, all of its headers at once.",
};

/// A name that is not in `hosts`.
pub(crate) const UNKNOWN_HOST: ProblemKind = ProblemKind {
    code: "SEA_EDGE_UNKNOWN_HOST",
    status: StatusCode::MISDIRECTED_REQUEST,
    title: "Nothing is served under this name here",
    advice: "Check the address. Operators: `edge.hosts` lists the names that are served.",
};

/// No route and no app.
pub(crate) const NOT_FOUND: ProblemKind = ProblemKind {
    code: "SEA_EDGE_NOT_FOUND",
    status: StatusCode::NOT_FOUND,
    title: "There is nothing at this address",
    advice: "Check the address. Operators: no route serves it, and the config names no app.",
};
