//! Files that somebody brings by hand. The digest that lies beside one under the name of the file and `.sha256` is
//! held against it at once: nobody is writing it any more.

use super::FileFault;
use super::receive::{Received, blocking};
use crate::domain::partner::PartnerName;
use crate::domain::time::BusinessDate;
use crate::engine::{Actor, Engine};
use crate::upstream::{Beside, Brought, ScratchFile};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// A digest is a line.
const DIGEST_BYTES_MAX: u64 = 4_096;

impl Engine {
    /// Takes a file over that somebody brings by hand.
    ///
    /// # Errors
    /// There is no such partner, the day is not closed, or the file cannot be read.
    pub async fn add_partner_file(
        &self,
        (partner, date): (&PartnerName, BusinessDate),
        path: &Path,
        actor: &Actor,
    ) -> Result<Received, FileFault> {
        self.partner(partner)?;
        let brought = {
            let path = path.to_owned();
            blocking(move || copy(&path)).await?
        };
        self.receive(partner, date, brought, actor).await
    }
}

/// Copies a file of somebody's into one of ours.
fn copy(path: &Path) -> Result<Brought, FileFault> {
    use sha2::Digest;
    let mut from = File::open(path)?;
    let (scratch, mut to) = ScratchFile::try_new()?;
    let (mut hash, mut bytes) = (sha2::Sha256::new(), 0);
    let mut piece = vec![0; 256 * 1_024];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        to.write_all(&piece[..read])?;
        bytes += u64::try_from(read).unwrap_or(0);
    }
    to.flush()?;
    let name = path.file_name().map(|name| name.to_string_lossy());
    Ok(Brought {
        name: name.unwrap_or_default().into_owned(),
        file: scratch,
        sha256: crate::domain::audit::hex(&hash.finalize()),
        bytes,
        mark: None,
        beside: beside(path)?,
    })
}

/// The digest that lies beside a file of somebody's, as `sha256sum` writes it.
fn beside(path: &Path) -> Result<Option<Beside>, FileFault> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".sha256");
    let beside = Path::new(&beside);
    let mut bytes = Vec::new();
    let read =
        File::open(beside).and_then(|file| file.take(DIGEST_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => {
            let name = beside.file_name().unwrap_or_default().to_string_lossy();
            let text = String::from_utf8_lossy(&bytes);
            Ok(Some(Beside::read(name, &text)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
