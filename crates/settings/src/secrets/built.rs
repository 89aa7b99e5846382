//! What a build made for browsers and left on this disk: bundles, pages, and source maps with the sources within them.

use std::path::Path;

use seaworthy_repository::{Repository, Walk, bounded, is_test};
use serde::Deserialize;

use super::scan::{Live, scan};

/// Folders that builds write for browsers, beside a `package.json` or at the root.
const FOLDERS: &[&str] = &[
    "dist",
    "build",
    "out",
    ".next/static",
    ".output/public",
    "public/build",
    "public/assets",
    "public/packs",
    "public/js",
    "static/dist",
    "static/build",
    "staticfiles",
    "static/js",
    "static/assets",
    "priv/static",
    "wwwroot",
    "www",
    "_site",
    ".svelte-kit/output/client",
    ".nuxt/dist/client",
    "storybook-static",
    "web-build",
    "client/dist",
    "client/build",
    "frontend/dist",
    "frontend/build",
];
/// Of these, the ones that people also commit beside the source: they show no build.
const ALSO_SOURCE: &[&str] =
    &["public/js", "public/assets", "static/js", "static/assets", "staticfiles", "priv/static", "wwwroot", "www"];
/// What a browser loads as a text.
const ENDINGS: &[&str] =
    &["js", "mjs", "cjs", "css", "html", "htm", "json", "map", "txt", "xml", "webmanifest", "wasm", "rsc"];
/// Below these, in a folder that is built, is what servers run.
const OF_SERVERS: &[&str] = &["server", "node_modules", "standalone", "cache", "lib", "types", "esm"];
const MOST_FILES: usize = 20_000;
const LARGEST: u64 = 32 << 20;

/// What was built.
#[derive(Debug, Default)]
pub(super) struct Built {
    /// Files that were read, and sources within maps.
    pub texts: usize,
    /// Source maps with sources in them.
    pub maps: usize,
    /// Files that are too large, or more than are read.
    pub cut: bool,
    /// The folders that were read.
    pub folders: Vec<String>,
}

/// Takes path and text of each file, and of each source within a map.
type See<'s> = dyn FnMut(&str, &[u8]) + 's;

/// Shows what was built.
pub(super) fn read(root: &Path, repository: &Repository, see: &mut See<'_>) -> Built {
    let mut projects = vec![std::path::PathBuf::new()];
    projects.extend(repository.named(&["package.json"]).filter_map(Path::parent).take(100).map(Path::to_owned));
    projects.sort();
    projects.dedup();
    let mut folders: Vec<std::path::PathBuf> =
        projects.iter().flat_map(|project| FOLDERS.iter().map(|folder| project.join(folder))).collect();
    folders.sort();
    folders.dedup();
    let mut built = Built::default();
    for folder in folders {
        let whole = root.join(&folder);
        let is_folder = std::fs::symlink_metadata(&whole).is_ok_and(|data| data.is_dir());
        if is_folder && built.texts < MOST_FILES && is_for_browsers(&whole) {
            read_folder(root, &folder, &mut built, see);
        }
    }
    built
}

/// The first project with a bundler and a script that builds, below which no build has left anything.
pub(super) fn unbuilt(repository: &Repository, bundlers: &[&str]) -> Option<String> {
    let holds = |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let committed = |folder: &Path| {
        let is_code = |path: &Path| path.extension().is_some_and(|ending| ending == "js" || ending == "css");
        repository.files().any(|path| path.starts_with(folder) && is_code(path))
    };
    let is_output = |folder: &Path, name: &str| {
        holds(&repository.root().join(folder)) && (!ALSO_SOURCE.contains(&name) || !committed(folder))
    };
    let packages: Vec<&Path> = repository.named(&["package.json"]).filter(|path| !is_test(path)).take(100).collect();
    let folders: Vec<&Path> = packages.iter().filter_map(|path| path.parent()).collect();
    let is_built = |folder: &Path| {
        let below = folders.iter().filter(|other| other.starts_with(folder));
        below.into_iter().any(|other| FOLDERS.iter().any(|name| is_output(&other.join(name), name)))
    };
    let builds = |path: &Path| {
        let text = repository.text(path)?;
        let package: serde_json::Value = serde_json::from_str(&text).ok()?;
        let script = package["scripts"].as_object()?.keys().any(|name| name == "build" || name.starts_with("build:"));
        let mut needs = ["dependencies", "devDependencies"].iter().filter_map(|key| package[*key].as_object());
        Some(script && needs.any(|all| bundlers.iter().any(|name| all.contains_key(*name))))
    };
    let mut open = packages.iter().filter(|path| builds(path) == Some(true));
    open.find(|path| !path.parent().is_some_and(is_built)).map(|path| path.display().to_string())
}

/// Folders of files that a server hands out as they are, and templates that it fills.
const AS_THEY_ARE: &[&str] = &["public", "static", "assets", "www", "wwwroot", "templates", "views"];

/// Shows the pages and scripts that browsers get without a build, and counts them.
pub(super) fn read_unbuilt(repository: &Repository, pages: &[&str], see: &mut See<'_>) -> usize {
    // Where JavaScript runs no server, all of it is for browsers.
    let no_server = repository.named(&["package.json"]).next().is_none();
    let is_delivered = |path: &&Path| {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let mut folders = path.parent().into_iter().flat_map(Path::components);
        pages.contains(&ending)
            || (["js", "mjs", "json", "map"].contains(&ending)
                && (no_server
                    || folders
                        .any(|folder| folder.as_os_str().to_str().is_some_and(|name| AS_THEY_ARE.contains(&name)))))
    };
    let mut shown = 0;
    for path in repository.files().filter(|path| !is_test(path) && !path.starts_with("docs")).filter(is_delivered) {
        if let Some(bytes) = bounded(&repository.root().join(path), LARGEST) {
            shown += 1;
            see(&path.to_string_lossy(), &bytes);
        }
    }
    shown
}

/// `dist` and `build` may also hold what a server runs: a page, or a folder of assets, tells them apart.
fn is_for_browsers(folder: &Path) -> bool {
    let named = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !["dist", "build", "out"].contains(&named) {
        return true;
    }
    ["index.html", "assets", "static", "_next", "manifest.json", "asset-manifest.json", "client", "browser", "public"]
        .iter()
        .any(|name| folder.join(name).exists())
        || std::fs::read_dir(folder).into_iter().flatten().flatten().take(2_000).any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.ends_with(".html") || name.contains("bundle") || name.contains(".min.")
        })
}

fn read_folder(root: &Path, folder: &Path, built: &mut Built, see: &mut See<'_>) {
    let walk = Walk { skipped: &[OF_SERVERS], obeys_ignore: false, most: MOST_FILES };
    let Ok(walked) = walk.through(&root.join(folder)) else { return };
    built.cut |= walked.cut;
    let before = built.texts;
    for file in walked.files {
        let path = folder.join(&file.path);
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        if !ENDINGS.contains(&ending.as_str()) {
            continue;
        }
        let Some(bytes) = bounded(&root.join(&path), LARGEST) else {
            built.cut = true;
            continue;
        };
        let name = path.display().to_string();
        if ending == "map" {
            let sources = sources_of(&bytes, &name, see);
            built.maps += usize::from(sources > 0);
            built.texts += sources;
            continue;
        }
        built.texts += 1;
        see(&name, &bytes);
    }
    if built.texts > before {
        built.folders.push(folder.display().to_string());
    }
}

/// The sources that a map has within it, and how many there are. Those of packages are public already.
fn sources_of(bytes: &[u8], map: &str, see: &mut See<'_>) -> usize {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Map {
        sources: Vec<Option<String>>,
        #[serde(rename = "sourcesContent")]
        contents: Vec<Option<String>>,
    }
    let Ok(read) = serde_json::from_slice::<Map>(bytes) else {
        see(map, bytes);
        return 1;
    };
    let mut shown = 0;
    for (name, content) in read.sources.iter().zip(&read.contents) {
        let (Some(name), Some(content)) = (name, content) else { continue };
        if !name.contains("node_modules/") {
            shown += 1;
            see(&format!("{map}!{name}"), content.as_bytes());
        }
    }
    shown
}

/// Plants a key in a bundle and in a source map, and scans them the same way.
pub(super) fn canary_is_found() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let planted = super::hardcoded_secrets::planted();
    let dist = folder.path().join("dist/assets");
    let map = serde_json::json!({"version": 3, "sources": ["../src/a.ts"], "sourcesContent": [format!("const key = '{planted}'")]});
    let written = std::fs::create_dir_all(&dist)
        .and_then(|()| std::fs::write(dist.join("a.js"), format!("const a=\"{planted}\";")))
        .and_then(|()| std::fs::write(dist.join("a.js.map"), map.to_string()));
    let Ok(repository) = written.map_err(drop).and_then(|()| Repository::open(folder.path()).map_err(drop)) else {
        return false;
    };
    let (live, mut found) = (Live::default(), 0);
    read(folder.path(), &repository, &mut |path, text| found += scan(text, path, &live).findings.len());
    found == 2
}
