//! `[uploads]`, and what a `[[route]]` says of the files that it takes.

use schemars::JsonSchema;
use seaworthy_config::{ByteSize, Findings, HumanDuration, Section};
use serde::Deserialize;

use crate::kinds;

/// What all routes that take files have together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Where files wait while they are judged, and where quarantine and resumable uploads are kept.
    pub folder: String,
    /// The malware scanner: `"unix:/run/clamav/clamd.ctl"` or `"tcp:127.0.0.1:3310"`. Needed where a route says `scan`.
    pub clamd: Option<String>,
    /// How long one scan may take; longer is as if the scanner were down.
    pub scan_timeout: HumanDuration,
    /// The largest file, or file in an archive, that is given to the scanner. What is larger is refused where `scan` is
    /// on. At the start a harmless test virus of this size shows whether the scanner reads so far; if it does not, the
    /// size that it does read is the limit.
    pub scan_max: ByteSize,
    /// How much of what was found infected is kept, for the admin API to list; the oldest goes first. `"0B"`: nothing.
    pub quarantine: ByteSize,
    /// The largest sum of all fields that are no files.
    pub fields: ByteSize,
    /// The most parts of a form, files and fields.
    pub parts: usize,
    /// How far archives (zip, gz, tar, and office files, which are zip) are followed.
    pub archives: ArchiveLimits,
    /// A client that sends nothing for so long is given up.
    pub idle: HumanDuration,
    /// How long a resumable upload, and what the app said of it, is kept.
    pub resumable_for: HumanDuration,
    /// The largest sum of all resumable uploads that are not complete, by the lengths that were announced.
    pub resumable_room: ByteSize,
    /// The same of one client: of who is signed in, else of an address (of a network, where it is IPv6). One upload as
    /// large as its route takes always fits.
    pub resumable_room_each: ByteSize,
    /// The most resumable uploads of one client that are not complete.
    pub resumable_each: usize,
}

/// Limits on what archives may turn into, counted while they are really unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ArchiveLimits {
    /// All files together, unpacked, those of inner archives included.
    pub unpacked: ByteSize,
    /// Unpacked bytes for each packed byte, from the first MiB on.
    pub ratio: u64,
    /// Files and folders, those of inner archives included.
    pub entries: u64,
    /// Archives in archives: 0 refuses every inner archive.
    pub depth: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: ".seaworthy/uploads".into(),
            clamd: None,
            scan_timeout: HumanDuration::seconds(120),
            scan_max: ByteSize(100_000_000),
            quarantine: ByteSize(0),
            fields: ByteSize(1_000_000),
            parts: 200,
            archives: ArchiveLimits::default(),
            idle: HumanDuration::seconds(30),
            resumable_for: HumanDuration::seconds(86_400),
            resumable_room: ByteSize(10_000_000_000),
            resumable_room_each: ByteSize(2_000_000_000),
            resumable_each: 100,
        }
    }
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { unpacked: ByteSize(500_000_000), ratio: 200, entries: 10_000, depth: 3 }
    }
}

/// What one `[[route]]` says of files.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RoutePolicy {
    /// This route takes files: forms (`multipart/form-data`), or one file as the body.
    pub upload: Option<UploadPolicy>,
}

/// Which files a route takes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UploadPolicy {
    /// The largest file.
    pub max: ByteSize,
    /// The largest sum of all files of one request; as `max` when it is not given.
    pub total: Option<ByteSize>,
    /// The most files of one request.
    pub files: usize,
    /// Kinds that are taken, by extension: `["pdf", "docx", "png"]`. Name, declared type and content must agree.
    pub types: Vec<String>,
    /// Whether the malware scanner must have found each file clean. When it cannot be asked, files are refused.
    pub scan: bool,
    /// What happens to unsafe file names: `refuse`, or `clean` (the app gets a safe name in its place).
    pub names: Names,
    /// Take what is active too: scripts in SVG, macros in office files.
    pub active: bool,
    /// Whether large files can be sent in pieces and gone on with (tus 1.0), at the route's path with `/tus` behind it.
    pub resumable: bool,
    /// The field that a resumable upload is in when it reaches the app.
    pub field: String,
    /// How a resumable upload reaches the app: `form` (one ordinary multipart/form-data), or `reference` (JSON with the
    /// `path` of a file that is the app's from then on).
    pub deliver: Deliver,
}

/// How a resumable upload reaches the app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deliver {
    /// As one ordinary form.
    #[default]
    Form,
    /// As the path of a file.
    Reference,
}

/// What happens to unsafe file names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// The upload is refused.
    #[default]
    Refuse,
    /// The name is replaced by a safe one; nothing else of the body changes.
    Clean,
}

impl Default for UploadPolicy {
    fn default() -> Self {
        Self {
            max: ByteSize(10_000_000),
            total: None,
            files: 1,
            types: Vec::new(),
            scan: false,
            names: Names::Refuse,
            active: false,
            resumable: false,
            field: "file".into(),
            deliver: Deliver::Form,
        }
    }
}

impl UploadPolicy {
    /// The largest sum of all files of one request, in bytes.
    pub fn total(&self) -> u64 {
        self.total.map_or(self.max.0, |total| total.0)
    }

    /// The largest body that can be right: files, fields, and a KiB for what stands around each part.
    pub fn largest_body(&self, settings: &Settings) -> u64 {
        let around = (settings.parts as u64).saturating_mul(1024);
        self.total().saturating_add(settings.fields.0).saturating_add(around)
    }

    fn validate(&self, at: &str, findings: &mut Findings) {
        let mut wrong = |key: &str, message: String, help: &str| {
            findings.add(format!("{at}.{key}"), "SEA_CONFIG_WRONG_VALUE", message, help);
        };
        for name in self.types.iter().filter(|name| kinds::find(name).is_none()) {
            let known = kinds::KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
            wrong(
                "types",
                format!("`{name}` is no kind of file whose content can be told"),
                &format!("one of: {known}"),
            );
        }
        if self.types.is_empty() {
            wrong("types", "no kind of file is allowed".into(), "list them by extension: types = [\"pdf\", \"png\"]");
        }
        if self.max.0 == 0 || self.files == 0 {
            wrong("max", "no file fits".into(), "write at least one byte and one file");
        }
        let is_field = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.[]".contains(&byte);
        if self.field.is_empty() || !self.field.bytes().all(is_field) {
            wrong("field", "a field's name has letters, digits and -_.[] alone".into(), "use \"file\"");
        }
        if self.total() < self.max.0 {
            wrong(
                "total",
                "the sum of all files is less than one may have".into(),
                "write at least `max`, or leave it out",
            );
        }
    }
}

impl RoutePolicy {
    /// Everything that is wrong with it; `at` is where it stands.
    pub fn validate(&self, at: &str, findings: &mut Findings) {
        if let Some(upload) = &self.upload {
            upload.validate(&format!("{at}.upload"), findings);
        }
    }
}

impl Section for Settings {
    const KEY: &'static str = "uploads";

    fn validate(&self, findings: &mut Findings) {
        if self.folder.is_empty() {
            let help = "use \".seaworthy/uploads\"";
            findings.add("uploads.folder", "SEA_CONFIG_EMPTY", "files have no place to wait in", help);
        }
        let is_place = |text: &str| match text.split_once(':') {
            Some(("unix", path)) => path.starts_with('/'),
            Some(("tcp", address)) => {
                address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
            }
            _ => false,
        };
        if let Some(text) = self.clamd.as_deref().filter(|text| !is_place(text)) {
            let message = format!("`{text}` is no address of a clamd");
            let help = "write \"unix:/run/clamav/clamd.ctl\" or \"tcp:127.0.0.1:3310\"";
            findings.add("uploads.clamd", "SEA_CONFIG_ADDRESS", message, help);
        }
        let none = self.parts == 0 || self.archives.ratio == 0 || self.resumable_each == 0;
        if none || self.scan_max.0 < 1024 || self.idle.0.is_zero() {
            let message = "parts, archives.ratio, resumable_each and idle are at least 1, scan_max at least 1KB";
            findings.add("uploads", "SEA_CONFIG_WRONG_VALUE", message, "leave them out for the defaults");
        }
    }
}
