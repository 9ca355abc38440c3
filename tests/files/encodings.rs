//! Files in the encodings of the country: decoded before they are split, and refused where they are not
//! what they say.

use super::sample::{changed, each_line, profile, refusal, rows, write};
use payhall::files::Row;

/// The second bytes of these are a bar in GBK.
const BARS: &str = "東飢";

#[test]
fn a_bar_within_a_character_parts_nothing() {
    let with_note = "[[columns]]\nfield = \"UPSTREAM_REF\"";
    let note = format!("[[columns]]\nfield = \"NOTE\"\nname = \"note\"\n\n{with_note}");
    let profile = changed("pipe", with_note, &note);
    let mut text = profile.clone();
    text.charset = payhall::files::profile::Charset::Gbk;
    let row = Row {
        note: BARS,
        ..rows()[0]
    };
    let (bytes, _) = write(&text, &[row]);
    assert!(
        bytes
            .windows(4)
            .any(|four| four == [0x96, b'|', 0xef, b'|']),
        "{bytes:x?}"
    );
    each_line(&text, &bytes, |_, row| assert_eq!(row.note, BARS));
}

#[test]
fn four_bytes_of_gb18030() {
    let profile = changed("wechat-like", "\"UTF-8\"\nbom = \"ALWAYS\"", "\"GB18030\"");
    let rare = "\u{20087}é한😀";
    let row = Row {
        note: rare,
        ..rows()[0]
    };
    let (bytes, written) = write(&profile, &[row]);
    assert_eq!(written.replaced, 0);
    assert!(
        bytes
            .windows(4)
            .any(|four| four == [0x95, 0x32, 0x90, 0x31]),
        "{bytes:x?}"
    );
    each_line(&profile, &bytes, |_, row| assert_eq!(row.note, rare));
}

#[test]
fn bytes_that_are_no_characters() {
    let gbk = changed("wechat-like", "\"UTF-8\"\nbom = \"ALWAYS\"", "\"GBK\"");
    let utf8 = profile("wechat-like");
    for (profile, bad) in [
        (&gbk, &[0xff][..]),
        (&gbk, &[0x81, 0x20]),
        (&*utf8, &[0xff]),
        (&*utf8, &[0xc3]),
        (&*utf8, &[0xed, 0xa0, 0x80]),
        (&*utf8, &[0xc0, 0xaf]),
    ] {
        let (bytes, _) = write(profile, &rows());
        let at = bytes.windows(6).position(|six| six == b"shop-1").unwrap();
        let broken = [&bytes[..at], bad, &bytes[at + 1..]].concat();
        let (line, reason) = refusal(profile, &broken);
        assert_eq!(line, 2, "{bad:x?}: {reason}");
        assert!(reason.contains("not "), "{reason}");
    }
    // A line that ends in half a character.
    let (bytes, _) = write(&gbk, &rows());
    let end = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
    let broken = [&bytes[..end], &[0x81], &bytes[end..]].concat();
    assert_eq!(refusal(&gbk, &broken).0, 1);
}

#[test]
fn the_encoding_of_another_file() {
    let gbk = changed("wechat-like", "\"UTF-8\"\nbom = \"ALWAYS\"", "\"GBK\"");
    let (bytes, _) = write(&gbk, &rows());
    assert_eq!(refusal(&profile("wechat-like"), &bytes).0, 1);
    let (bytes, _) = write(&profile("wechat-like"), &rows());
    assert_eq!(refusal(&gbk, &bytes).0, 1);
}

#[test]
fn widths_are_counted_in_bytes() {
    let profile = profile("unionpay-zm");
    let row = Row {
        note: "東區水費",
        bill_no: "S1",
        ..rows()[0]
    };
    let (bytes, _) = write(&profile, &[row]);
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap();
    let width: usize = profile.columns.iter().map(|column| column.width).sum();
    assert_eq!(line.len(), width);
    each_line(&profile, &bytes, |_, row| assert_eq!(row.note, "東區水費"));
    // One byte to the left, and a character is cut in two.
    let at = line.windows(2).position(|two| two == [0x96, b'|']).unwrap();
    let mut shifted = bytes.clone();
    shifted.remove(at - 1);
    shifted.insert(at + 38, b' ');
    let (found, reason) = refusal(&profile, &shifted);
    assert_eq!(found, 1, "{reason}");
    // What is too long for its column is cut between two characters.
    let long = "東區水費".repeat(10);
    let row = Row { note: &long, ..row };
    let (bytes, _) = write(&profile, &[row]);
    each_line(&profile, &bytes, |_, row| {
        assert_eq!(row.note, "東區水費".repeat(5))
    });
}

#[test]
fn names_of_parties_that_begin_a_formula() {
    use payhall::files::{Head, StatementWriter};
    let profile = profile("alipay-like");
    let mut plain = (*profile).clone();
    plain.packing = payhall::files::profile::Packing::None;
    plain.entry_name = None;
    plain.charset = payhall::files::profile::Charset::Utf8;
    let head = Head {
        party_name: "=1+1,x\n＝",
        ..super::sample::head(None)
    };
    let writer = StatementWriter::begin(&plain, &head, Vec::new()).unwrap();
    let (written, bytes) = writer.finish().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(" '=1+1?x?＝\r\n"), "{text}");
    assert_eq!(written.replaced, 2);
}
