//! Secrets of one-time codes under the center's master keys, each in one piece of bytes: the master
//! key's name, the wrapped data key and the secret, the first two with their lengths in front.

use super::codes::Seal;
use crate::trust::{Masters, Sealed};
use zeroize::Zeroizing;

impl Seal for Masters {
    fn wrap(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        let sealed = self.seal(aad, plain).map_err(|error| error.to_string())?;
        packed(&sealed)
    }

    fn unwrap(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let sealed = unpacked(sealed)?;
        self.open(aad, &sealed).map_err(|error| error.to_string())
    }

    fn rewrap(&self, aad: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let rewrapped = Masters::rewrap(self, aad, &unpacked(sealed)?);
        let rewrapped = rewrapped.map_err(|error| error.to_string())?;
        rewrapped.as_ref().map(packed).transpose()
    }
}

fn packed(sealed: &Sealed) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for part in [sealed.master.as_bytes(), &sealed.wrapped_key] {
        let length = u8::try_from(part.len()).map_err(|_| "a part of it is too long".to_owned())?;
        bytes.push(length);
        bytes.extend_from_slice(part);
    }
    bytes.extend_from_slice(&sealed.secret);
    Ok(bytes)
}

fn unpacked(bytes: &[u8]) -> Result<Sealed, String> {
    let cut = |bytes: &[u8]| {
        let (length, rest) = bytes.split_first()?;
        let (part, rest) = rest.split_at_checked(usize::from(*length))?;
        Some((part.to_vec(), rest.to_vec()))
    };
    let parts = || {
        let (master, rest) = cut(bytes)?;
        let (wrapped_key, secret) = cut(&rest)?;
        Some(Sealed {
            master: String::from_utf8(master).ok()?,
            wrapped_key,
            secret,
        })
    };
    parts().ok_or_else(|| "it is not what was sealed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_purpose_and_follows_the_master_key() {
        use base64::Engine as _;
        let key = |byte| base64::engine::general_purpose::STANDARD.encode([byte; 32]);
        let (old, new) = (key(1), key(2));
        let masters = Masters::read([old.as_str()]).unwrap();
        let sealed = masters.wrap(b"ann", b"secret").unwrap();
        assert_eq!(
            masters.unwrap(b"ann", &sealed).unwrap().as_slice(),
            b"secret"
        );
        assert!(masters.unwrap(b"bob", &sealed).is_err());
        assert_eq!(Seal::rewrap(&masters, b"ann", &sealed), Ok(None));
        let both = Masters::read([new.as_str(), old.as_str()]).unwrap();
        let moved = Seal::rewrap(&both, b"ann", &sealed).unwrap().unwrap();
        let only_new = Masters::read([new.as_str()]).unwrap();
        assert_eq!(
            only_new.unwrap(b"ann", &moved).unwrap().as_slice(),
            b"secret"
        );
        assert!(only_new.unwrap(b"ann", &sealed).is_err());
        for place in 0..sealed.len() {
            assert!(
                masters.unwrap(b"ann", &sealed[..place]).is_err(),
                "cut at {place}"
            );
            let mut altered = sealed.clone();
            altered[place] ^= 1;
            assert!(
                masters.unwrap(b"ann", &altered).is_err(),
                "altered at {place}"
            );
        }
    }
}
