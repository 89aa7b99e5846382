//! What it is to inspect a repository for one control.

use crate::{kind, repository::Repository, sample::Sample, sighting::Sighting};

/// Looks at a repository for one control. It also owns a control experiment: two small known repositories, one where the
/// thing is present and one where it is absent. Before its word counts, it must say *holds* of the first and *broken* of
/// the second.
pub trait Inspection: Send + Sync {
    /// The control's id in the catalogue.
    fn control(&self) -> &'static str;

    /// It runs programs of the project in a copy of it, where [`Repository::may_run`] allows that. Where not, it still says
    /// what is missing, and that the rest is not tried without `--run-tests`.
    fn runs_code(&self) -> bool {
        false
    }

    /// Looks, where the control can apply to what the repository is: a package that others install has no rollback.
    fn inspect(&self, repository: &Repository) -> Sighting {
        kind::not_of_a_package(repository, self.control()).unwrap_or_else(|| self.look(repository))
    }

    /// Looks. This may take seconds, and blocks. Who asks from outside calls [`inspect`](Self::inspect).
    fn look(&self, repository: &Repository) -> Sighting;

    /// A known repository where the control holds.
    fn present(&self) -> Sample;

    /// A known repository where it does not: the common mistake, not nothing at all.
    fn absent(&self) -> Sample;
}
