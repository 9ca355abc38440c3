//! The Range header: one stretch of bytes, as whoever resumes a download asks for. Of several stretches the
//! whole file is sent, which RFC 9110 allows; so it is where the header cannot be read.

use poem::http::HeaderValue;

/// A stretch of bytes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub first: u64,
    pub last: u64,
}

/// What is asked for of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it.
    Whole,
    /// A part of it.
    Stretch(Stretch),
    /// What lies behind its end.
    Outside,
}

impl Asked {
    /// Reads a header about a file of so many bytes.
    pub fn read(header: Option<&HeaderValue>, bytes: u64) -> Self {
        let text = header.and_then(|value| value.to_str().ok());
        let Some(range) = text.and_then(|text| text.trim().strip_prefix("bytes=")) else {
            return Asked::Whole;
        };
        let Some((first, last)) = range.trim().split_once('-') else {
            return Asked::Whole;
        };
        let number = |text: &str| match text {
            "" => Some(None),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(Some(digits.parse().unwrap_or(u64::MAX)))
            }
            _ => None,
        };
        let (first, last): (Option<u64>, Option<u64>) = match (number(first), number(last)) {
            (Some(first), Some(last)) => (first, last),
            _ => return Asked::Whole,
        };
        let stretch = match (first, last) {
            (None, None) => return Asked::Whole,
            (None, Some(0)) => return Asked::Outside,
            (None, Some(most)) => Stretch {
                first: bytes.saturating_sub(most),
                last: bytes.saturating_sub(1),
            },
            (Some(first), Some(last)) if last < first => return Asked::Whole,
            (Some(first), last) => Stretch {
                first,
                last: last.unwrap_or(u64::MAX).min(bytes.saturating_sub(1)),
            },
        };
        match stretch.first < bytes {
            true => Asked::Stretch(stretch),
            false => Asked::Outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_the_standard_says() {
        let stretch = |first, last| Asked::Stretch(Stretch { first, last });
        let table = [
            ("bytes=0-4", stretch(0, 4)),
            ("bytes=5-", stretch(5, 9)),
            ("bytes=-3", stretch(7, 9)),
            ("bytes=-30", stretch(0, 9)),
            ("bytes=9-99", stretch(9, 9)),
            ("bytes=10-", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=99999999999999999999-", Asked::Outside),
            ("bytes=4-2", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=0-1,4-5", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("lines=1-2", Asked::Whole),
        ];
        for (header, wanted) in table {
            let value = HeaderValue::from_str(header).unwrap();
            assert_eq!(Asked::read(Some(&value), 10), wanted, "{header}");
        }
        assert_eq!(Asked::read(None, 10), Asked::Whole);
        let all = HeaderValue::from_static("bytes=0-");
        assert_eq!(Asked::read(Some(&all), 0), Asked::Outside);
    }
}
