//! Kinds of files: their extensions, the types that clients declare for them, and how their content is told.

/// How the content of a kind is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// By its first bytes: what `infer` calls it.
    Magic(&'static [&'static str]),
    /// UTF-8 text without control characters.
    Text,
    /// One JSON value, or several in lines.
    Json,
    /// XML whose root is `svg`.
    Svg,
    /// A zip file.
    Zip,
    /// A zip file with this entry: office files.
    ZipWith(&'static str),
    /// A zip file whose entry `mimetype` begins so (OpenDocument, EPUB).
    ZipOfType(&'static str),
    /// Gzip.
    Gzip,
    /// Tar.
    Tar,
    /// An OLE compound file: office files of before 2007.
    Compound,
}

/// A kind of file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Its usual extension, and what `types` calls it.
    pub name: &'static str,
    /// Other extensions.
    pub others: &'static [&'static str],
    /// What clients declare. `application/octet-stream` and nothing at all are fine for every kind.
    pub types: &'static [&'static str],
    pub content: Content,
}

const fn kind(
    name: &'static str,
    others: &'static [&'static str],
    types: &'static [&'static str],
    content: Content,
) -> Kind {
    Kind { name, others, types, content }
}

use Content::{Compound, Gzip, Json, Magic, Svg, Tar, Text, Zip, ZipOfType, ZipWith};

/// Every kind whose content can be told.
pub(crate) static KINDS: &[Kind] = &[
    kind("pdf", &[], &["application/pdf", "application/x-pdf"], Magic(&["pdf"])),
    kind("png", &[], &["image/png", "image/x-png"], Magic(&["png"])),
    kind("jpg", &["jpeg", "jpe", "jfif"], &["image/jpeg", "image/jpg", "image/pjpeg"], Magic(&["jpg"])),
    kind("gif", &[], &["image/gif"], Magic(&["gif"])),
    kind("webp", &[], &["image/webp"], Magic(&["webp"])),
    kind("avif", &[], &["image/avif"], Magic(&["avif"])),
    kind("heic", &["heif"], &["image/heic", "image/heif"], Magic(&["heif"])),
    kind("bmp", &[], &["image/bmp", "image/x-ms-bmp", "image/x-bmp"], Magic(&["bmp"])),
    kind("tiff", &["tif"], &["image/tiff"], Magic(&["tif"])),
    kind("ico", &[], &["image/x-icon", "image/vnd.microsoft.icon"], Magic(&["ico"])),
    kind("svg", &[], &["image/svg+xml"], Svg),
    kind("mp4", &["m4v"], &["video/mp4", "video/x-m4v"], Magic(&["mp4", "m4v"])),
    kind("mov", &[], &["video/quicktime"], Magic(&["mov"])),
    kind("webm", &[], &["video/webm", "audio/webm"], Magic(&["webm"])),
    kind("mkv", &[], &["video/x-matroska", "video/matroska"], Magic(&["mkv"])),
    kind("avi", &[], &["video/x-msvideo", "video/avi"], Magic(&["avi"])),
    kind("mp3", &[], &["audio/mpeg", "audio/mp3"], Magic(&["mp3"])),
    kind("m4a", &[], &["audio/mp4", "audio/m4a", "audio/x-m4a"], Magic(&["m4a"])),
    kind("wav", &[], &["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"], Magic(&["wav"])),
    kind(
        "ogg",
        &["oga", "ogv", "opus"],
        &["audio/ogg", "video/ogg", "application/ogg", "audio/opus"],
        Magic(&["ogg", "ogv", "opus"]),
    ),
    kind("flac", &[], &["audio/flac", "audio/x-flac"], Magic(&["flac"])),
    kind(
        "docx",
        &[],
        &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
        ZipWith("word/document.xml"),
    ),
    kind(
        "xlsx",
        &[],
        &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
        ZipWith("xl/workbook.xml"),
    ),
    kind(
        "pptx",
        &[],
        &["application/vnd.openxmlformats-officedocument.presentationml.presentation"],
        ZipWith("ppt/presentation.xml"),
    ),
    kind(
        "odt",
        &[],
        &["application/vnd.oasis.opendocument.text"],
        ZipOfType("application/vnd.oasis.opendocument.text"),
    ),
    kind(
        "ods",
        &[],
        &["application/vnd.oasis.opendocument.spreadsheet"],
        ZipOfType("application/vnd.oasis.opendocument.spreadsheet"),
    ),
    kind(
        "odp",
        &[],
        &["application/vnd.oasis.opendocument.presentation"],
        ZipOfType("application/vnd.oasis.opendocument.presentation"),
    ),
    kind("epub", &[], &["application/epub+zip"], ZipOfType("application/epub+zip")),
    kind("doc", &[], &["application/msword"], Compound),
    kind("xls", &[], &["application/vnd.ms-excel"], Compound),
    kind("ppt", &[], &["application/vnd.ms-powerpoint"], Compound),
    kind("rtf", &[], &["application/rtf", "text/rtf"], Magic(&["rtf"])),
    kind("zip", &[], &["application/zip", "application/x-zip-compressed", "application/x-zip"], Zip),
    kind("gz", &["tgz"], &["application/gzip", "application/x-gzip", "application/x-compressed-tar"], Gzip),
    kind("tar", &[], &["application/x-tar", "application/tar"], Tar),
    kind("7z", &[], &["application/x-7z-compressed"], Magic(&["7z"])),
    kind("txt", &["text", "log"], &["text/plain"], Text),
    kind("md", &["markdown"], &["text/markdown", "text/plain", "text/x-markdown"], Text),
    kind(
        "csv",
        &["tsv"],
        &["text/csv", "text/plain", "text/tab-separated-values", "application/csv", "application/vnd.ms-excel"],
        Text,
    ),
    kind(
        "json",
        &["jsonl", "ndjson", "geojson"],
        &["application/json", "application/x-ndjson", "application/geo+json", "text/json"],
        Json,
    ),
    kind("xml", &[], &["application/xml", "text/xml"], Text),
    kind("yaml", &["yml"], &["application/yaml", "text/yaml", "application/x-yaml", "text/x-yaml"], Text),
    kind("html", &["htm"], &["text/html"], Text),
];

/// The kind of this name or extension.
pub(crate) fn find(extension: &str) -> Option<&'static Kind> {
    let wanted = extension.to_ascii_lowercase();
    KINDS.iter().find(|kind| kind.name == wanted || kind.others.contains(&wanted.as_str()))
}

impl Kind {
    /// Whether a client may declare this for it.
    pub(crate) fn goes_by(&self, declared: Option<&str>) -> bool {
        declared.is_none_or(|declared| {
            matches!(declared, "" | "application/octet-stream") || self.types.contains(&declared)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_extension_means_two_kinds() {
        let mut all: Vec<&str> =
            KINDS.iter().flat_map(|kind| kind.others.iter().chain([&kind.name])).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(find("JPEG").map(|kind| kind.name), Some("jpg"));
        assert!(find("png").unwrap().goes_by(Some("image/png")) && !find("png").unwrap().goes_by(Some("text/html")));
    }
}
