//! 审计链头: the heads of all audit chains as they are published, so that what stood in them cannot be
//! taken back by whoever holds the database.
//!
//! A file is a JSON object of five lines. The second line, its line end included, is the payload: the
//! exact bytes that are signed. The fourth is the signature's own object. So `sed -n 2p FILE` gives what
//! `openssl` checks, and the file is still JSON for everything that reads JSON.
//!
//! Each file holds the hash of the one published before it: the files are a chain as well, and one that
//! is taken out of the middle is missed by the next.
//!
//! How one could break it: by writing the payload on more than one line; by signing anything else than
//! the bytes that stand in the file.

use super::audit::{ChainHead, hex};
use super::time::{BusinessDate, Instant};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What the payload says that it is.
const KIND: &str = "payhall-audit-heads";
/// The version of the format.
const FORMAT: u32 = 1;
/// What every file's name begins with.
const PREFIX: &str = "audit-heads-";

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    kind: String,
    format: u32,
    /// The business date that had ended.
    pub business_date: BusinessDate,
    /// When the heads were read.
    pub read_at: Instant,
    /// How many rows the chains had between them.
    pub rows: i64,
    /// The file published before this one; none for the first.
    pub previous: Option<Previous>,
    /// The chains, by name.
    pub streams: Vec<Head>,
}

/// The end of one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The chain's name.
    pub stream: String,
    /// The number of its last row.
    pub seq: i64,
    /// The hash of its last row, in lower-case hexadecimal digits.
    pub hash: String,
}

impl From<&ChainHead> for Head {
    fn from(head: &ChainHead) -> Self {
        Self {
            stream: head.stream.clone(),
            seq: head.seq,
            hash: hex(&head.hash),
        }
    }
}

/// The file that was published before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// Its name.
    pub file: String,
    /// The SHA-256 of all its bytes, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// The signature that stands beside the payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadsSignature {
    /// The center's key that made it.
    pub key_id: String,
    /// How it was made.
    pub algorithm: super::key::Algorithm,
    /// The signature, in Base64.
    pub value: String,
}

/// Why a text is no file of heads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadsError {
    /// The lines are not those of such a file.
    #[error("it does not have the five lines of a file of heads")]
    Lines,
    /// One of the two objects is not what it should be.
    #[error("its {0} cannot be read: {1}")]
    Object(&'static str, String),
    /// It is something else, or of another version.
    #[error("it says that it is {kind:?} of format {format}, which this version does not know")]
    Kind {
        /// What it says that it is.
        kind: String,
        /// The version of the format.
        format: u32,
    },
}

impl Heads {
    /// What is to be published; the chains are sorted by name.
    pub fn new(business_date: BusinessDate, read_at: Instant, rows: i64) -> Self {
        Self {
            kind: KIND.to_owned(),
            format: FORMAT,
            business_date,
            read_at,
            rows,
            previous: None,
            streams: Vec::new(),
        }
    }

    /// The bytes that are signed: one line, with its end.
    ///
    /// # Errors
    /// None that this type can bring about; serde's signature asks for it.
    pub fn payload(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// A file of heads, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadsFile {
    /// What it says.
    pub heads: Heads,
    /// The bytes of it that are signed.
    pub payload: Vec<u8>,
    /// The signature.
    pub signature: HeadsSignature,
}

const OPENING: &str = "{\"payload\":\n";
const BETWEEN: &str = ",\"signature\":\n";
const CLOSING: &str = "}\n";

/// The bytes of a file.
///
/// # Errors
/// None that these types can bring about; serde's signature asks for it.
pub fn write(payload: &[u8], signature: &HeadsSignature) -> serde_json::Result<Vec<u8>> {
    let signature = serde_json::to_vec(signature)?;
    let parts = [
        OPENING.as_bytes(),
        payload,
        BETWEEN.as_bytes(),
        &signature,
        b"\n",
        CLOSING.as_bytes(),
    ];
    Ok(parts.concat())
}

/// Takes a file apart. Whether its signature holds is another question.
///
/// # Errors
/// Why it is none.
pub fn read(bytes: &[u8]) -> Result<HeadsFile, HeadsError> {
    let text = std::str::from_utf8(bytes).map_err(|_| HeadsError::Lines)?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let [OPENING, payload, BETWEEN, signature, CLOSING] = lines.as_slice() else {
        return Err(HeadsError::Lines);
    };
    let heads: Heads = serde_json::from_str(payload)
        .map_err(|error| HeadsError::Object("payload", error.to_string()))?;
    if (heads.kind.as_str(), heads.format) != (KIND, FORMAT) {
        let (kind, format) = (heads.kind, heads.format);
        return Err(HeadsError::Kind { kind, format });
    }
    let signature = serde_json::from_str(signature)
        .map_err(|error| HeadsError::Object("signature", error.to_string()))?;
    Ok(HeadsFile {
        heads,
        payload: payload.as_bytes().to_vec(),
        signature,
    })
}

/// The name of the file of a business date; where the date has one already, further ones are numbered
/// from 2.
pub fn file_name(date: BusinessDate, version: u32) -> String {
    match version {
        0 | 1 => format!("{PREFIX}{date}.json"),
        more => format!("{PREFIX}{date}.{more}.json"),
    }
}

/// The business date and version that a name tells; none where it is no name of a file of heads. They
/// sort as the files were published.
pub fn read_name(name: &str) -> Option<(BusinessDate, u32)> {
    let stem = name.strip_prefix(PREFIX)?.strip_suffix(".json")?;
    let (date, version) = match stem.split_once('.') {
        None => (stem, 1),
        Some((date, version)) => (date, version.parse().ok()?),
    };
    let date = BusinessDate(date.parse().ok()?);
    (file_name(date, version) == name).then_some((date, version))
}

/// The SHA-256 of a file, in lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::key::Algorithm;
    use super::*;

    fn date(text: &str) -> BusinessDate {
        BusinessDate(text.parse().unwrap())
    }

    fn heads() -> Heads {
        let at = Instant::from_timestamp(1_800_000_000, 0).unwrap();
        let mut heads = Heads::new(date("2026-11-22"), at, 7);
        heads.streams.push(Head {
            stream: "a-1".into(),
            seq: 7,
            hash: "00ff".into(),
        });
        heads
    }

    fn signature() -> HeadsSignature {
        HeadsSignature {
            key_id: "k".into(),
            algorithm: Algorithm::Ed25519,
            value: "AAAA".into(),
        }
    }

    #[test]
    fn the_second_line_is_what_is_signed_and_the_whole_is_json() {
        let payload = heads().payload().unwrap();
        let bytes = write(&payload, &signature()).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let second = text.split_inclusive('\n').nth(1).unwrap();
        assert_eq!(second.as_bytes(), payload);
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["payload"]["streams"][0]["seq"], 7);
        assert_eq!(json["signature"]["algorithm"], "ed25519");
        let file = read(&bytes).unwrap();
        assert_eq!((file.heads, file.signature), (heads(), signature()));
        assert_eq!(file.payload, payload);
    }

    #[test]
    fn what_is_no_file_of_heads_is_told_by_its_reason() {
        let bytes = write(&heads().payload().unwrap(), &signature()).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let wrong = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        for bad in [
            "",
            "{}",
            &text[..text.len() - 1],
            &text.replacen('\n', "", 1),
            &format!("{text}\n"),
        ] {
            assert!(wrong(bad).contains("five lines"), "{bad}");
        }
        assert!(wrong(&text.replace("\"rows\"", "\"row\"")).contains("payload"));
        assert!(wrong(&text.replace("ed25519", "md5")).contains("signature"));
        assert!(wrong(&text.replace("\"format\":1", "\"format\":2")).contains("format 2"));
    }

    #[test]
    fn names_tell_date_and_version_and_sort_by_them() {
        let day = date("2026-11-22");
        assert_eq!(file_name(day, 1), "audit-heads-2026-11-22.json");
        assert_eq!(file_name(day, 2), "audit-heads-2026-11-22.2.json");
        for version in [1, 2, 10] {
            let name = file_name(day, version);
            assert_eq!(read_name(&name), Some((day, version)));
        }
        for bad in [
            "audit-heads-2026-11-22.1.json",
            "audit-heads-2026-11-22.02.json",
            "audit-heads-2026-13-01.json",
            "audit-heads-2026-11-22.json.part",
            "heads.json",
        ] {
            assert_eq!(read_name(bad), None, "{bad}");
        }
    }
}
