//! Our own helpers for test runners: they write down what became of each test.

use std::{fs, io, path::Path};

const FILES: &[(&str, &str)] = &[
    ("python_run.py", include_str!("drivers/python_run.py")),
    ("seaworthy_pytest.py", include_str!("drivers/seaworthy_pytest.py")),
    ("node_reporter.mjs", include_str!("drivers/node_reporter.mjs")),
];

/// Writes them into a new folder.
pub fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)?;
    FILES.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}
