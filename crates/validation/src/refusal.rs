//! Why a request is refused, and what the client is told.

use http::{HeaderValue, Method, Response, StatusCode, header};
use seaworthy_core::{Body, Problem, ProblemKind, RequestContext, empty_body};
use serde_json::Value;

use crate::violation::Violation;

/// The rule of a violation that is about the kind of the body.
pub(crate) const MEDIA_TYPE: &str = "media type";
/// So many are told in the detail; `errors` has them all.
const IN_DETAIL: usize = 3;

const INVALID: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_INVALID_REQUEST",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "The request is not as the API describes it",
    advice: "Correct what `errors` names, and send it again.",
};
const MEDIA: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_MEDIA_TYPE",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    title: "A body of this kind is not taken here",
    advice: "Send the kind that `errors` names, with its Content-Type.",
};
const UNKNOWN: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_UNKNOWN_OPERATION",
    status: StatusCode::NOT_FOUND,
    title: "The API has no such path",
    advice: "Check the path. Operators: `unknown` in [validation] decides about what the document does not have.",
};
const METHOD: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_UNKNOWN_METHOD",
    status: StatusCode::METHOD_NOT_ALLOWED,
    title: "The API does not have this method there",
    advice: "Use one that the `Allow` header names.",
};
const TOO_LARGE: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_VALIDATED_TOO_LARGE",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    title: "The request body is too large to be checked",
    advice: "Send less at once. Operators: `body_limit` of [validation] sets the limit.",
};
const NO_DOCUMENT: ProblemKind = ProblemKind {
    code: "SEA_PROTECTION_NO_DOCUMENT",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Requests cannot be checked yet",
    advice: "Try again in a moment. Operators: the app does not serve the document that `openapi` in [validation] names; \
             the log says why.",
};

/// Why.
pub(crate) enum Refusal {
    /// It is not what the document describes.
    Wrong(Vec<Violation>),
    UnknownOperation,
    /// The methods that are there.
    UnknownMethod(String),
    TooLarge(usize),
    /// The body ended too early; whoever ended it has an answer of its own, or is gone.
    BrokeOff,
    /// Nothing to compare with.
    NoDocument,
}

impl Refusal {
    /// With the methods that the path has.
    pub(crate) fn method(known: &[&Method]) -> Self {
        Self::UnknownMethod(known.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(", "))
    }

    /// The answer; `status` is that of what is wrong.
    pub(crate) fn response(&self, status: u16, context: Option<&RequestContext>) -> Response<Body> {
        let kind = match self {
            Self::Wrong(all) if all.iter().any(|one| one.rule == MEDIA_TYPE) => MEDIA,
            Self::Wrong(_) => ProblemKind { status: StatusCode::from_u16(status).unwrap_or(INVALID.status), ..INVALID },
            Self::UnknownOperation => UNKNOWN,
            Self::UnknownMethod(_) => METHOD,
            Self::TooLarge(_) => TOO_LARGE,
            Self::BrokeOff => ProblemKind { status: StatusCode::BAD_REQUEST, ..INVALID },
            Self::NoDocument => NO_DOCUMENT,
        };
        let problem = match self {
            Self::Wrong(all) => {
                let mut told: Vec<String> = all.iter().take(IN_DETAIL).map(Violation::sentence).collect();
                if all.len() > IN_DETAIL {
                    told.push(format!("and {} more", all.len() - IN_DETAIL));
                }
                let errors: Vec<Value> = all.iter().map(Violation::json).collect();
                Problem::new(kind).detail(format!("{}.", told.join("; "))).errors(errors.into())
            }
            Self::TooLarge(limit) => Problem::new(kind).detail(format!("The limit is {limit} bytes.")),
            Self::NoDocument => Problem::new(kind).retry_after(1),
            Self::BrokeOff => Problem::new(kind).detail("The body ended too early."),
            Self::UnknownOperation | Self::UnknownMethod(_) => Problem::new(kind),
        };
        let mut response = match context {
            Some(context) => problem.into_response(context),
            // Only reachable outside the edge, which always adds the context.
            None => {
                let mut response = Response::new(empty_body());
                *response.status_mut() = kind.status;
                response
            }
        };
        if let Self::UnknownMethod(known) = self
            && let Ok(known) = HeaderValue::from_str(known)
        {
            response.headers_mut().insert(header::ALLOW, known);
        }
        response
    }
}
