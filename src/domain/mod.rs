//! The nouns and rules of bill payment: no I/O, no clock, no async, no framework.
//!
//! Everything that decides about money is a plain function of its arguments in this folder, so it
//! can be read at a desk and tested by tables. Rooms above load the facts, ask here, and write down
//! what comes back. This folder imports nothing else of ours; `tests/house.rs` holds it to that.

pub mod audit;
pub mod audit_heads;
pub mod bill;
pub mod business_day;
pub mod calendar;
pub mod case;
pub mod catalogue;
pub mod contract;
pub mod exception;
pub mod flow;
#[cfg(feature = "oidc")]
pub mod id_token;
pub mod ids;
pub mod item;
pub mod job;
pub mod key;
pub mod merchant;
pub mod money;
pub mod notification;
pub mod operator;
pub mod order;
pub mod outcome;
pub mod partner;
pub mod progress;
pub mod reconciled;
pub mod reconciliation;
pub mod refusal;
pub mod region;
pub mod retry;
pub mod settlement;
pub mod statement;
pub mod time;

/// Writes an enum whose stored name, wire name and display are one and the same word.
///
/// A state is spelled once; the database's CHECK, the API's enum and the logs all read this list.
macro_rules! named_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name {
            $($(#[$vmeta])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The stored name.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok($name::$variant),)+
                    other => Err($crate::domain::UnknownName {
                        kind: stringify!($name),
                        found: other.to_owned(),
                    }),
                }
            }
        }
    };
}
pub(crate) use named_enum;

/// A word that is not in the list of names of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a {kind}")]
pub struct UnknownName {
    /// The list that was looked in, e.g. `OrderState`.
    pub kind: &'static str,
    /// The word that was found.
    pub found: String,
}
