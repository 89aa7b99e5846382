//! Finds the program: a setting, then the names under which systems install it.

use std::{
    env,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The variable that names the program.
const VARIABLE: &str = "CHROME_PATH";

/// Names below `PATH`, the freest first.
const NAMES: [&str; 7] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
];

/// Where macOS keeps them.
const PLACES: [&str; 3] = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
];

/// What to install when nothing is found.
pub const PACKAGES: &str = "install the package chromium (Debian: apt-get install chromium), or name a Chromium, Chrome or \
                            Edge with the variable CHROME_PATH";

/// The program that `CHROME_PATH` names, else the first that is installed. What is named and not there is not replaced by
/// another one.
pub fn find() -> Option<PathBuf> {
    look(env::var_os(VARIABLE).map(PathBuf::from), env::var_os("PATH").as_deref(), &PLACES)
}

fn look(named: Option<PathBuf>, path: Option<&std::ffi::OsStr>, places: &[&str]) -> Option<PathBuf> {
    if let Some(named) = named.filter(|named| !named.as_os_str().is_empty()) {
        return is_program(&named).then_some(named);
    }
    let folders: Vec<PathBuf> = path.map(|path| env::split_paths(path).collect()).unwrap_or_default();
    let installed = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    installed.chain(places.iter().map(PathBuf::from)).find(|candidate| is_program(candidate))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_one_counts_alone_and_else_the_first_that_is_installed() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, mode| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let path = Some(folder.path().as_os_str());
        assert_eq!(look(None, path, &[]), None);
        program("chromium", 0o644);
        let chrome = program("google-chrome", 0o755);
        assert_eq!(look(None, path, &[]), Some(chrome.clone()), "what cannot be run is no program");
        assert_eq!(look(Some("/nowhere/at/all".into()), path, &[]), None);
        assert_eq!(look(Some(PathBuf::new()), path, &[]), Some(chrome));
        assert_eq!(look(None, None, &["/nowhere"]), None);
    }
}
