//! Gzip: one file, or several as one (RFC 1952, 2.2).

use std::io::BufReader;

use flate2::read::MultiGzDecoder;

use super::Inspection;
use crate::{problems::Refusal, segments::Slice};

pub(super) fn look(inspection: &mut Inspection<'_>, file: &Slice, depth: u32) -> Result<(), Refusal> {
    inspection.count()?;
    inspection.entry(MultiGzDecoder::new(BufReader::new(file.anew())), depth)
}
