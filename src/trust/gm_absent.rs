//! SM2 in a build without the feature `gm`: there are no keys of it, and whoever brings one is told
//! which feature is missing.

use super::fault::KeyFault;
pub(super) use super::gm_curve::is_on_curve;
use crate::domain::key::Algorithm;
use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

/// Whether this build of the program has SM2.
///
/// # Errors
/// Always: it has not.
pub(super) fn is_built() -> Result<(), KeyFault> {
    Err(not_built())
}

fn not_built() -> KeyFault {
    KeyFault::NotBuilt {
        algorithm: Algorithm::Sm2Sm3,
        feature: "gm",
    }
}

/// A public key; there is none.
#[derive(Clone)]
pub(super) enum Public {}

impl Public {
    /// Reads nothing.
    pub(super) fn read(_: &[u8]) -> Option<Self> {
        None
    }

    /// Cannot be asked.
    pub(super) fn der(&self) -> Result<Vec<u8>, KeyFault> {
        match *self {}
    }

    /// Cannot be asked.
    pub(super) fn accepts(&self, _: &[u8], _: &[u8]) -> bool {
        match *self {}
    }
}

/// A private key; there is none.
pub(super) enum Pair {}

impl Pair {
    /// Makes nothing.
    pub(super) fn generate() -> Result<Self, KeyFault> {
        Err(not_built())
    }

    /// Reads nothing.
    pub(super) fn read(_: &[u8]) -> Option<Self> {
        None
    }

    /// Cannot be asked.
    pub(super) fn public_der(&self) -> Result<Vec<u8>, KeyFault> {
        match *self {}
    }

    /// Cannot be asked.
    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        match *self {}
    }

    /// Cannot be asked.
    pub(super) fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match *self {}
    }
}
