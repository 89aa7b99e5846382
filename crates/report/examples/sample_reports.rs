//! Writes a sample report in every format into a folder, for the validators in `tests/reports`.

#[path = "../src/sample.rs"]
mod sample;

use std::{env, error::Error, fs, path::PathBuf};

use seaworthy_report::{Artifact, Format, Inputs, Signature, write};
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args_os().nth(1).ok_or("usage: sample_reports FOLDER")?);
    fs::create_dir_all(&folder)?;
    let artifacts = [Artifact {
        name: "registry.example.com/shop:1.4.0".into(),
        algorithm: "sha256".into(),
        digest: "8739c76e681f900923b900c9df0ef75cf421d39cabb54650c4b9ad19b6a76d85".into(),
    }];
    // No real signature: whoever validates the sample can make the same one, and so sees which bytes were signed.
    let sign = |message: &[u8]| Signature { key_id: "sample".into(), bytes: Sha256::digest(message).to_vec() };
    for format in Format::ALL {
        let inputs = Inputs { artifacts: &artifacts, sign: &sign };
        fs::write(folder.join(format.file_name()), write(format, &sample::report(), inputs))?;
    }
    Ok(())
}
