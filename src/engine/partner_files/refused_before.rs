//! A file that was refused, and whose source sees nothing new in it, may be right by now all the same: because
//! the profile by which it is read was wrong, or the currency or the zone of its partner, and has been mended.
//! What is kept of it tells, so nobody sends a large file again for nothing. Only where it is right now is it
//! asked for once more, so that the digest beside it is heard as well.
//!
//! How one could break it: by taking what is kept for what the partner has to say today.

use super::FileFault;
use super::receive::Whole;
use crate::domain::partner::{Partner, PartnerFile, PartnerFileState};
use crate::engine::Engine;
use crate::engine::partner_files::blocking;
use crate::upstream::{FetchError, Fetched, PartnerSource};
use std::sync::Arc;

impl Engine {
    /// The refused file with this mark, where its bytes as they are kept would be accepted now.
    pub(super) async fn right_by_now<'a>(
        &self,
        partner: &Partner,
        files: &'a [PartnerFile],
        mark: &str,
    ) -> Result<Option<&'a PartnerFile>, FileFault> {
        let of_mark = |file: &&PartnerFile| file.mark.as_deref() == Some(mark);
        let last = files.iter().rfind(of_mark);
        let Some(file) = last.filter(|file| file.state == PartnerFileState::Refused) else {
            return Ok(None);
        };
        let kept = {
            let (objects, path) = (self.objects()?.clone(), file.path.clone());
            let bytes = u64::try_from(file.bytes).unwrap_or(u64::MAX);
            blocking(move || Ok(objects.file(&path, bytes)?)).await?
        };
        let whole = Arc::new(Whole::new(kept, file.sha256.clone()));
        let judged = self
            .judge_whole(partner, file.business_date, &whole)
            .await?;
        Ok(judged.is_ok().then_some(file))
    }
}

/// Asks a source for a file that was refused as if nothing were known of it. What it was refused for may be the
/// digest beside it; as long as that says the same, nothing is new.
pub(super) async fn fetch_anew(
    source: &dyn PartnerSource,
    refused: &PartnerFile,
) -> Result<Fetched, FetchError> {
    match source.fetch(refused.business_date, &[]).await? {
        Fetched::File(brought)
            if brought.contradiction().is_some() && brought.contradiction() == refused.reason =>
        {
            Ok(Fetched::Unchanged(brought.mark))
        }
        fetched => Ok(fetched),
    }
}
