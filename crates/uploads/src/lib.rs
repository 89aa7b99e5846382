//! Files that clients send. The app sees no byte of one before it was received whole, judged and, where asked, scanned.

mod archive;
#[doc(hidden)]
pub mod fuzzing;
mod judge;
mod kinds;
mod layer;
mod multipart;
mod names;
mod places;
mod problems;
mod quarantine;
mod receive;
mod scanner;
mod screening;
mod segments;
mod settings;
mod tus;
mod uploads;

pub use layer::{Upload, UploadService};
pub use quarantine::QuarantineFolder;
pub use settings::{ArchiveLimits, Deliver, Names, RoutePolicy, Settings, UploadPolicy};
pub use tus::{METHODS, REQUEST_FIELDS, RESPONSE_FIELDS, Resumable, ResumableService};
pub use uploads::Uploads;
