//! How a key on the curve of SM2 is known, in a build that can use it and in one that cannot.

/// The curve's name in DER: the object identifier 1.2.156.10197.1.301.
const CURVE: [u8; 10] = [0x06, 8, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];

/// The name stands at the beginning, behind version and algorithm.
const LOOKED_AT: usize = 40;

/// Whether DER calls itself a key on the curve of SM2.
pub(super) fn is_on_curve(der: &[u8]) -> bool {
    let begin = &der[..der.len().min(LOOKED_AT)];
    begin.windows(CURVE.len()).any(|window| window == CURVE)
}
