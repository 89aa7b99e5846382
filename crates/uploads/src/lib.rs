//! Files that clients send. The app sees no byte of one before it was received whole, judged and, where asked, scanned.

mod archive;
mod judge;
mod kinds;
mod layer;
mod multipart;
mod names;
mod problems;
mod quarantine;
mod receive;
mod scanner;
mod screening;
mod segments;
mod settings;
mod uploads;

pub use layer::{Upload, UploadService};
pub use quarantine::QuarantineFolder;
pub use settings::{ArchiveLimits, Names, RoutePolicy, Settings, UploadPolicy};
pub use uploads::Uploads;
