//! The one way to the lines of a file that was accepted. It is checked whole once more, and its digest is held
//! against its row, before the first of them counts: what is kept may have been changed since.

use super::plan::Party;
use super::{CompareFault, FileFault};
use crate::domain::audit::hex;
use crate::domain::progress::Silent;
use crate::engine::Engine;
use crate::engine::partner_files::{Whole, check_file, digest_text, expect};
use crate::files::{Line, Lines, Profile};
use crate::output::Objects;
use chrono_tz::Tz;
use std::io::BufReader;
use std::sync::Arc;

/// A file of a partner, ready to be read on a thread that may block.
pub(super) struct Shelved {
    party: Party,
    objects: Objects,
    profile: Arc<Profile>,
    zone: Tz,
}

impl Engine {
    /// Makes the file of a party ready.
    pub(super) fn shelved(&self, party: &Party) -> Result<Shelved, FileFault> {
        Ok(Shelved {
            party: party.clone(),
            objects: self.objects()?.clone(),
            profile: self.0.options.profiles.get(&party.file.profile)?,
            zone: self.0.options.day.zone,
        })
    }
}

impl Shelved {
    /// Whose file it is.
    pub(super) fn party(&self) -> &Party {
        &self.party
    }

    /// Walks along all lines; blocks.
    pub(super) fn each(
        &self,
        mut see: impl FnMut(&Line<'_>) -> Result<(), CompareFault>,
    ) -> Result<(), CompareFault> {
        let file = &self.party.file;
        let digest = digest_text(&file.sha256);
        let date = file.business_date;
        let expect = expect(&self.party.partner, date, self.zone, Some(&digest));
        let bytes = u64::try_from(file.bytes).unwrap_or(u64::MAX);
        let kept = self.objects.file(&file.path, bytes);
        // The very file that was checked is read, even if another lies in its place by now.
        let whole = Whole::new(kept.map_err(FileFault::from)?, file.sha256.clone());
        let rewound = || whole.rewound().map_err(FileFault::from);
        let checked = check_file(&self.profile, &expect, rewound()?, &Silent);
        let checked = match checked.map_err(FileFault::from)? {
            Ok(checked) if hex(&checked.sha256) == file.sha256 => checked,
            Ok(_) => return Err(self.changed("it is another one")),
            Err(refused) => return Err(self.changed(&format!("it is refused: {refused}"))),
        };
        let reader = BufReader::new(rewound()?);
        let lines = Lines::open(&self.profile, &expect, &checked, reader);
        let mut lines = lines.map_err(FileFault::from)?;
        while let Some(line) = lines.next().map_err(FileFault::from)? {
            see(&line)?;
        }
        Ok(())
    }

    fn changed(&self, how: &str) -> CompareFault {
        CompareFault::Odd(format!(
            "{} as it is kept is not the file that was accepted, {how}. Find out who changed it, or the partner's \
             profile, currency or zone since; put that right, or bring the partner's own file again (payhall \
             partner-files add)",
            self.party.file.path
        ))
    }
}
