//! Documents that were admitted before. Front ends send a few dozen texts over and over, and parsing
//! one costs more than executing it, so the parsed ones are kept by their text.
//!
//! A text with a value written into it is never kept: it is one of a kind, and the value may be a
//! credential, which has no business in memory after its request.

use super::guard::{Admitted, Limits, Refused, admit};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A text longer than this is parsed each time, so that the kept ones are bounded in bytes too.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// The admitted documents by their text.
pub(super) struct Documents {
    limits: Limits,
    most: usize,
    known: RwLock<HashMap<Box<str>, Arc<Admitted>>>,
}

impl Documents {
    /// Keeps so many at most.
    pub fn new(limits: Limits, most: usize) -> Self {
        Self {
            limits,
            most,
            known: RwLock::default(),
        }
    }

    /// The document, if it may be executed.
    pub fn admit(&self, text: &str) -> Result<Arc<Admitted>, Refused> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(admitted) = known.get(text) {
            return Ok(admitted.clone());
        }
        drop(known);
        let admitted = Arc::new(admit(text, &self.limits)?);
        if text.len() <= TEXT_BYTES_MAX && !admitted.has_values && self.most > 0 {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            // Whoever sends ever new texts only makes everybody parse once more.
            if known.len() >= self.most {
                known.clear();
            }
            known.insert(text.into(), admitted.clone());
        }
        Ok(admitted)
    }

    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ApiOptions;

    fn documents(most: usize) -> Documents {
        Documents::new(Limits::from(&ApiOptions::default()), most)
    }

    #[test]
    fn a_text_is_parsed_once_and_the_number_kept_is_bounded() {
        let documents = documents(2);
        let first = documents.admit("{a}").unwrap();
        assert!(Arc::ptr_eq(&first, &documents.admit("{a}").unwrap()));
        documents.admit("{b}").unwrap();
        documents.admit("{c}").unwrap();
        assert_eq!(documents.kept(), 1);
    }

    #[test]
    fn a_text_with_a_value_in_it_is_not_kept() {
        let documents = documents(10);
        for text in [
            r#"mutation{orderConfirm(input:{credential:"123456"}){order{state}}}"#,
            r#"query($a:String="123456"){order(orderNo:$a){state}}"#,
            "{orders(first:7){pageInfo{hasNextPage}}}",
        ] {
            documents.admit(text).unwrap();
        }
        assert_eq!(documents.kept(), 0);
        documents
            .admit("mutation($a:A!){orderConfirm(input:$a){order{state}}}")
            .unwrap();
        assert_eq!(documents.kept(), 1);
        assert!(documents.admit("{").is_err());
        assert_eq!(documents.kept(), 1);
    }
}
