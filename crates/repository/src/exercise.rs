//! What every inspection must do with its own samples; for the tests of the rooms that have some.

use std::{collections::HashSet, path::Path};

use crate::{
    inspection::Inspection,
    repository::Repository,
    sample::Sample,
    sighting::{Outcome, Sighting},
};

/// Looks at the samples of every inspection, written below an empty folder: present holds, absent is broken, nothing at all
/// never holds, and no control has two inspections.
///
/// # Panics
/// When one of them does not.
pub fn exercise(inspections: &[Box<dyn Inspection>], folder: &Path) {
    let mut seen = HashSet::new();
    for inspection in inspections {
        let control = inspection.control();
        assert!(seen.insert(control), "{control} has two inspections");
        let look = |sample: &Sample, name: &str| {
            look_at(inspection.as_ref(), sample, &folder.join(format!("{control}-{name}")))
        };
        let present = look(&inspection.present(), "present");
        let holds = matches!(present.outcome, Outcome::Holds | Outcome::ForAPerson(_));
        assert!(holds, "{control}, present: {present:?}");
        assert!(present.planned > 0 && present.planned == present.executed, "{control}, present: {present:?}");
        assert!(!present.observed.is_empty(), "{control} does not say what it saw: {present:?}");
        let absent = look(&inspection.absent(), "absent");
        assert!(matches!(absent.outcome, Outcome::Broken(_)), "{control}, absent: {absent:?}");
        let empty = look(&Sample::default(), "empty");
        let holds = matches!(empty.outcome, Outcome::Holds | Outcome::ForAPerson(_));
        assert!(!holds, "{control} holds of an empty folder: {empty:?}");
    }
}

fn look_at(inspection: &dyn Inspection, sample: &Sample, folder: &Path) -> Sighting {
    let control = inspection.control();
    let written = std::fs::create_dir_all(folder).and_then(|()| sample.write(folder));
    assert!(written.is_ok(), "{control}: {written:?}");
    match Repository::open(folder) {
        Ok(mut repository) => {
            repository.may_run = true;
            inspection.inspect(&repository)
        }
        Err(error) => {
            assert!(error.to_string().is_empty(), "{control}: {error}");
            Sighting::not_tried("")
        }
    }
}
