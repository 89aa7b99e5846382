//! The errors that are answered in place of a file.

use http::StatusCode;
use seaworthy_core::ProblemKind;

/// Nothing there, or nothing that is served.
pub(crate) const NOT_FOUND: ProblemKind = ProblemKind {
    code: "SEA_EDGE_FILE_NOT_FOUND",
    status: StatusCode::NOT_FOUND,
    title: "There is no such file",
    advice: "Check the address. Operators: the file must be below the route's `files.root`, and not hidden.",
};

/// A file is only read.
pub(crate) const METHOD: ProblemKind = ProblemKind {
    code: "SEA_EDGE_FILE_METHOD",
    status: StatusCode::METHOD_NOT_ALLOWED,
    title: "Files can only be read",
    advice: "Use GET or HEAD. Operators: a route with `files` never reaches the app.",
};

/// `If-Match` or `If-Unmodified-Since` does not hold.
pub(crate) const PRECONDITION: ProblemKind = ProblemKind {
    code: "SEA_EDGE_FILE_CHANGED",
    status: StatusCode::PRECONDITION_FAILED,
    title: "The file has changed",
    advice: "Fetch it again without the condition.",
};

/// A range past the end.
pub(crate) const RANGE: ProblemKind = ProblemKind {
    code: "SEA_EDGE_FILE_RANGE",
    status: StatusCode::RANGE_NOT_SATISFIABLE,
    title: "The file has no such part",
    advice: "Content-Range names its length; ask for a part within it, or for the whole.",
};

/// The system could not read it.
pub(crate) const UNREADABLE: ProblemKind = ProblemKind {
    code: "SEA_EDGE_FILE_UNREADABLE",
    status: StatusCode::INTERNAL_SERVER_ERROR,
    title: "The file cannot be read",
    advice: "Try again later. Operators: the log has the system's reason.",
};
