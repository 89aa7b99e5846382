//! The errors that we answer, and what a refusal is inside the room.

use http::StatusCode;
use seaworthy_core::{Problem, ProblemKind};

pub(crate) const TOO_LARGE: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TOO_LARGE",
    status: StatusCode::PAYLOAD_TOO_LARGE,
    title: "The upload is too large",
    advice: "Send a smaller file, or fewer at once. Operators: `max`, `total` and `files` of the route's `upload`.",
};
pub(crate) const MALFORMED: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_MALFORMED",
    status: StatusCode::BAD_REQUEST,
    title: "The form can be read in more than one way, or not at all",
    advice: "Send multipart/form-data as RFC 7578 has it: one boundary, complete to the last delimiter.",
};
pub(crate) const NAME: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_NAME",
    status: StatusCode::BAD_REQUEST,
    title: "The file's name is not safe",
    advice: "Rename the file. Operators: `names = \"clean\"` replaces unsafe names by safe ones.",
};
pub(crate) const TYPE: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_TYPE",
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    title: "This kind of file is not taken here, or it is not what it says it is",
    advice: "Send a file whose name, type and content agree. Operators: `types` of the route's `upload`.",
};
pub(crate) const CONTENT: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_CONTENT",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "The file has content that is not taken",
    advice: "Export the file anew from a program that writes plain files, without scripts or hidden parts.",
};
pub(crate) const ARCHIVE: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_ARCHIVE",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "The archive is not taken",
    advice: "Send a plain archive. Operators: [uploads.archives] has the limits.",
};
pub(crate) const INFECTED: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_INFECTED",
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "The malware scanner refuses the file",
    advice: "Look for malware where the file comes from. Operators: the admin API lists what is in quarantine.",
};
pub(crate) const SCANNER_DOWN: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_SCANNER_DOWN",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "Files cannot be scanned for malware at the moment",
    advice: "Try again in a minute. Operators: /status of the admin API says what is wrong with `clamd`.",
};
pub(crate) const SLOW: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_SLOW",
    status: StatusCode::REQUEST_TIMEOUT,
    title: "The upload stalled",
    advice: "Send it again over a better connection.",
};
pub(crate) const STORAGE: ProblemKind = ProblemKind {
    code: "SEA_UPLOADS_STORAGE",
    status: StatusCode::SERVICE_UNAVAILABLE,
    title: "The upload cannot be kept",
    advice: "Try again later. Operators: the log says what is wrong with the folder of [uploads].",
};

/// Why an upload goes no further.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub kind: ProblemKind,
    /// Shown to the client: about its own request only.
    pub detail: String,
}

impl Refusal {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// Something of ours failed; what it was stands in the log alone.
    pub(crate) fn storage(error: &std::io::Error) -> Self {
        tracing::error!(%error, "an upload cannot be kept on disk");
        Self::new(STORAGE, "")
    }

    pub(crate) fn problem(&self) -> Problem {
        let problem = Problem::new(self.kind);
        let problem = if self.detail.is_empty() { problem } else { problem.detail(self.detail.clone()) };
        if self.kind.status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(10) } else { problem }
    }
}

/// Shorthand for a malformed form.
pub(crate) fn malformed<T>(detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(MALFORMED, detail))
}
