//! The controls that this room reads code for.

mod architecture;
mod async_io;
mod debug_code;
mod dependency_injection;
mod docstrings;
mod share;
mod structure;
mod type_hints;
mod type_safety;
mod typed_errors;

use seaworthy_repository::Inspection;

pub(crate) fn all() -> Vec<Box<dyn Inspection>> {
    vec![
        Box::new(debug_code::DebugCode),
        Box::new(type_hints::TypeHints),
        Box::new(docstrings::Docstrings),
        Box::new(async_io::AsyncIo),
        Box::new(dependency_injection::DependencyInjection),
        Box::new(structure::Structure),
        Box::new(architecture::Architecture),
        Box::new(type_safety::TypeSafety),
        Box::new(typed_errors::TypedErrors),
    ]
}

/// What an inspection sees in these files.
#[cfg(test)]
pub(crate) fn seen(
    look: fn(&seaworthy_repository::Repository) -> seaworthy_repository::Sighting,
    files: &[(&str, &str)],
) -> seaworthy_repository::Sighting {
    let folder = tempfile::tempdir().unwrap();
    seaworthy_repository::Sample::of(files).write(folder.path()).unwrap();
    look(&seaworthy_repository::Repository::open(folder.path()).unwrap())
}
