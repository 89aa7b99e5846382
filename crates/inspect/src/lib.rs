//! Inspections of what a repository says of itself: its configuration, documents, pipelines, containers and data layer.
//!
//! One file a control, below its area. An inspection reads a [`Repository`](seaworthy_repository::Repository) and runs
//! nothing of it. To add one: write it beside the others and name it in its area's `all`.

mod ci;
mod config;
mod container;
mod data;
mod deploy;
mod docs;
mod document;
mod environment;
mod frontend;
mod routes;
mod runs;
mod secrets;

use seaworthy_repository::Inspection;

/// Every inspection of this room.
pub fn all() -> Vec<Box<dyn Inspection>> {
    let areas = [ci::all(), config::all(), data::all(), deploy::all(), docs::all(), frontend::all(), secrets::all()];
    areas.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_inspection_tells_its_samples_apart() {
        let folder = tempfile::tempdir().unwrap();
        let new = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        seaworthy_repository::exercise(&super::all(), new);
    }
}
