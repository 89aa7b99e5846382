//! Which runtimes, frameworks and images a repository uses, with the day on which they end.

use std::path::Path;

use seaworthy_repository::{Repository, yaml};

use super::super::{
    ends_of_life::{Day, Product, products},
    image_scan::image_files,
    lock_files::{is_aside, lock_files},
};

/// In bytes: a registry, a name of 255, a tag of 128, a digest.
const LONGEST_IMAGE: usize = 1_024;

/// Something whose end is known.
pub(super) struct Dated {
    pub(super) product: &'static str,
    pub(super) version: String,
    /// File, or file and line.
    pub(super) place: String,
    pub(super) ends: Day,
}

/// Everything that is found.
pub(super) fn find(repository: &Repository) -> Vec<Dated> {
    let mut found = Vec::new();
    images(repository, &mut found);
    version_files(repository, &mut found);
    packages(repository, &mut found);
    found.sort_by_key(|one| one.ends);
    found
}

fn add(found: &mut Vec<Dated>, product: &'static Product, version: &str, place: String) {
    if let Some(ends) = product.ends(version) {
        found.push(Dated { product: &product.name, version: version.to_owned(), place, ends });
    }
}

fn images(repository: &Repository, found: &mut Vec<Dated>) {
    for file in image_files(repository) {
        let Some(text) = repository.text(&file) else { continue };
        let mut arguments: Vec<(String, String)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace();
            match words.next().map(str::to_ascii_uppercase).as_deref() {
                Some("ARG") => arguments.extend(
                    words
                        .next()
                        .and_then(|word| word.split_once('='))
                        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())),
                ),
                Some("FROM") => {
                    let image = words.find(|word| !word.starts_with("--")).unwrap_or_default();
                    image_of(found, &filled(image, &arguments), format!("{}:{}", file.display(), index + 1));
                }
                _ => {}
            }
        }
    }
    let is_compose = |path: &&Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let yaml = name.ends_with(".yml") || name.ends_with(".yaml");
        yaml && (name.starts_with("compose.") || name.starts_with("docker-compose.")) && !is_aside(path)
    };
    for file in repository.files().filter(is_compose) {
        let Some(text) = repository.text(file) else { continue };
        for document in yaml(&text).unwrap_or_default() {
            for (_, service) in document["services"].as_object().into_iter().flatten() {
                let Some(image) = service["image"].as_str() else { continue };
                // `${IMAGE:-postgres:16}`
                let image = image
                    .split_once(":-")
                    .filter(|_| image.starts_with("${"))
                    .map_or(image, |(_, default)| default.trim_end_matches('}'));
                image_of(found, image, file.display().to_string());
            }
        }
    }
}

/// An image's name with the build's arguments in it. A name has at most 255 characters and some more for its place; what
/// grows beyond that was built to (each argument twice in the one before it), and is no name.
fn filled(image: &str, arguments: &[(String, String)]) -> String {
    let mut image = image.to_owned();
    for (name, value) in arguments.iter().filter(|(_, value)| value.len() <= LONGEST_IMAGE) {
        if image.len() > LONGEST_IMAGE || !image.contains('$') {
            break;
        }
        image = image.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
    }
    if image.len() > LONGEST_IMAGE { String::new() } else { image }
}

fn image_of(found: &mut Vec<Dated>, image: &str, place: String) {
    let image = image.split('@').next().unwrap_or(image);
    let Some((name, tag)) = image.rsplit_once(':') else { return };
    let fits = |known: &String| {
        name == known
            || name.ends_with(&format!("/library/{known}"))
            || name.ends_with(&format!("/{known}")) && (known.contains('/') || name.contains("docker.io"))
    };
    if let Some(product) = products().iter().find(|product| product.images.iter().any(fits)) {
        add(found, product, tag, place.clone());
    }
    // `python:3.13-slim-buster` stands on Debian.
    for part in tag.split('-').skip(1) {
        let release = part.strip_prefix("alpine").filter(|rest| !rest.is_empty());
        let base = if release.is_some() { "Alpine" } else { "Debian" };
        if let Some(product) = products().iter().find(|product| product.name == base) {
            add(found, product, release.unwrap_or(part), place.clone());
        }
    }
}

fn version_files(repository: &Repository, found: &mut Vec<Dated>) {
    for product in products() {
        for file in &product.files {
            for path in repository.files().filter(|path| path.ends_with(file) && !is_aside(path)) {
                let text = repository.text(path).unwrap_or_default();
                let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
                let version = line.unwrap_or_default().trim_start_matches(['v', 'V']);
                let version = version.trim_start_matches("python-").trim_start_matches("ruby-");
                add(found, product, version, path.display().to_string());
            }
        }
    }
    let Some(text) = repository.text(".tool-versions") else { return };
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(tool), Some(version)) = (words.next(), words.next()) else { continue };
        if let Some(product) = products().iter().find(|product| product.tools.iter().any(|own| own == tool)) {
            add(found, product, version, ".tool-versions".to_owned());
        }
    }
}

/// Direct dependencies whose locked version has a known end.
fn packages(repository: &Repository, found: &mut Vec<Dated>) {
    let direct = |name: &str| {
        name.contains('/') && !name.starts_with('@')
            || repository
                .manifests()
                .all
                .values()
                .flat_map(|manifest| &manifest.dependencies)
                .any(|own| own.name == name)
    };
    for file in lock_files(repository).0 {
        let ecosystem = file.format.ecosystem.name();
        for package in &file.packages {
            let key = format!("{ecosystem}:{}", package.name);
            let product = products().iter().find(|product| product.packages.contains(&key));
            let Some(product) = product.filter(|_| direct(&package.name)) else { continue };
            // The newest of several versions is the direct one more often than not; the oldest may be somebody else's.
            let newer = file.packages.iter().any(|other| {
                other.name == package.name
                    && product.ends(&other.version).is_none_or(|ends| Some(ends) > product.ends(&package.version))
            });
            if !newer {
                add(found, product, &package.version, file.path.display().to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_fill_a_name_and_do_not_explode() {
        let argument = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let plain = [argument("TAG", "3.8-slim"), argument("BASE", "python")];
        assert_eq!(filled("${BASE}:$TAG", &plain), "python:3.8-slim");
        let explosive: Vec<_> =
            (0..200).map(|at| argument(&format!("A{at}Z"), &format!("$A{0}Z$A{0}Z", at + 1))).collect();
        assert_eq!(filled("$A0Z", &explosive), "");
    }
}
