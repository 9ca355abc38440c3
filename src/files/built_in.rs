//! The profiles that there are: those compiled in, from `deploy/profiles/`, and own ones.

use super::profile::{Profile, ProfileProblem};
use std::collections::BTreeMap;
use std::sync::Arc;

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        /// The names and texts of the profiles that are compiled in.
        pub const BUILT_IN: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../deploy/profiles/", $name, ".toml"))),)+
        ];
    };
}

built_in![
    "alipay",
    "alipay-like",
    "payhall-csv",
    "pipe",
    "unionpay-zm",
    "wechat",
    "wechat-like",
];

/// Profiles by their names.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    profiles: BTreeMap<String, Arc<Profile>>,
}

/// A name that is no profile's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile {asked:?}; there are {known}")]
pub struct NoSuchProfile {
    asked: String,
    known: String,
}

impl Profiles {
    /// The profiles that are compiled in, and own ones: names (a file's without `.toml`) and texts. One
    /// with the name of a profile that is compiled in stands in for it. Whoever calls reads the folder.
    ///
    /// # Errors
    /// Everything that is wrong with any text, with file and line.
    pub fn load<'a>(
        own: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<ProfileProblem>> {
        let mut texts: BTreeMap<&str, &str> = BUILT_IN.iter().copied().collect();
        texts.extend(own);
        let mut loaded = Self::default();
        let mut problems = Vec::new();
        for (name, text) in texts {
            match Profile::parse(name, text) {
                Ok(profile) => {
                    let profile = Arc::new(profile);
                    loaded.profiles.insert(name.to_owned(), profile);
                }
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(loaded)
        } else {
            Err(problems)
        }
    }

    /// A profile.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn get(&self, name: &str) -> Result<Arc<Profile>, NoSuchProfile> {
        self.profiles.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.names().collect();
            NoSuchProfile {
                asked: name.to_owned(),
                known: known.join(", "),
            }
        })
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_that_is_compiled_in_can_be_used() {
        let profiles = Profiles::load([]).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(profiles.names().count(), BUILT_IN.len());
        let missing = profiles.get("nothing").unwrap_err().to_string();
        assert!(missing.contains("payhall-csv"), "{missing}");
    }
}
