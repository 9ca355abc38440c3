//! 地区: regions by GB/T 2260 code, a tree whose shape is in the digits of the code itself.

use super::named_enum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A six-digit GB/T 2260 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegionCode(u32);

/// A text that is not a region code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a region code: six digits by GB/T 2260, such as 310000, are expected")]
pub struct BadRegionCode(pub String);

impl RegionCode {
    /// Reads six digits; the first two (the province) cannot be 00.
    pub fn try_new(text: &str) -> Result<Self, BadRegionCode> {
        let digits = text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u32>() {
            Ok(code) if digits && code >= 100_000 => Ok(RegionCode(code)),
            _ => Err(BadRegionCode(text.to_owned())),
        }
    }

    /// The code of the next region up: a county's prefecture, a prefecture's province, else none.
    pub fn parent(self) -> Option<RegionCode> {
        let RegionCode(code) = self;
        match (code % 100, code % 10_000) {
            (_, 0) => None,
            (0, _) => Some(RegionCode(code / 10_000 * 10_000)),
            _ => Some(RegionCode(code / 100 * 100)),
        }
    }

    /// The code of the province.
    pub fn province(self) -> RegionCode {
        RegionCode(self.0 / 10_000 * 10_000)
    }

    /// The region itself, then its ancestors upwards.
    pub fn with_ancestors(self) -> Vec<RegionCode> {
        std::iter::successors(Some(self), |code| code.parent()).collect()
    }
}

impl fmt::Display for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

impl TryFrom<String> for RegionCode {
    type Error = BadRegionCode;
    fn try_from(text: String) -> Result<Self, BadRegionCode> {
        Self::try_new(&text)
    }
}

impl From<RegionCode> for String {
    fn from(code: RegionCode) -> String {
        code.to_string()
    }
}

named_enum! {
    /// The level of a region in the tree.
    pub enum RegionLevel {
        /// A province, an autonomous region or a municipality.
        Province = "PROVINCE",
        /// A prefecture or a city of that level.
        Prefecture = "PREFECTURE",
    }
}

/// A point on the map in millionths of a degree (whole numbers, so that equal input gives an equal
/// answer on every machine).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Latitude, -90,000,000 to 90,000,000.
    pub latitude_e6: i32,
    /// Longitude, -180,000,000 to 180,000,000.
    pub longitude_e6: i32,
}

/// A text or pair that is not a place on the map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {found:?} is not degrees within ±{limit}")]
pub struct BadPlace {
    what: &'static str,
    found: String,
    limit: i64,
}

impl Place {
    /// Reads decimal degrees such as `31.2304` and `121.4737`.
    pub fn parse(latitude: &str, longitude: &str) -> Result<Self, BadPlace> {
        Ok(Self {
            latitude_e6: parse_degrees("latitude", latitude, 90)?,
            longitude_e6: parse_degrees("longitude", longitude, 180)?,
        })
    }

    /// A measure of the distance that is good for comparing: the square of the chord of the local
    /// flat map, in millionths of a degree, with the longitude shortened by the latitude.
    pub fn distance_squared(self, other: Place) -> i128 {
        let north = i128::from(self.latitude_e6) - i128::from(other.latitude_e6);
        let mut east = (i128::from(self.longitude_e6) - i128::from(other.longitude_e6)).abs();
        if east > 180_000_000 {
            east = 360_000_000 - east;
        }
        let middle = (i64::from(self.latitude_e6) + i64::from(other.latitude_e6)) / 2;
        let east = east * i128::from(cosine_e4(middle)) / 10_000;
        north * north + east * east
    }
}

/// The cosine of a latitude in millionths of a degree, in ten-thousandths (Bhaskara's rational
/// approximation, within 0.2 %): enough to tell which of two cities is nearer, without floats.
fn cosine_e4(latitude_e6: i64) -> i64 {
    const HALF_TURN_SQUARED: i64 = 180_000 * 180_000;
    let millidegrees = latitude_e6 / 1_000;
    let squared = millidegrees * millidegrees;
    (HALF_TURN_SQUARED - 4 * squared) * 10_000 / (HALF_TURN_SQUARED + squared)
}

fn parse_degrees(what: &'static str, text: &str, limit: i64) -> Result<i32, BadPlace> {
    let bad = || BadPlace {
        what,
        found: text.to_owned(),
        limit,
    };
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(whole, 3) || !digits(fraction, 15) {
        return Err(bad());
    }
    let six: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let micro = format!("{whole}{six}").parse::<i64>().map_err(|_| bad())?;
    if micro > limit * 1_000_000 {
        return Err(bad());
    }
    let signed = if text.starts_with('-') { -micro } else { micro };
    i32::try_from(signed).map_err(|_| bad())
}

/// A region of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// GB/T 2260 code.
    pub code: RegionCode,
    /// Where in the tree it stands.
    pub level: RegionLevel,
    /// The official Chinese name.
    pub name_zh: String,
    /// The usual English name.
    pub name_en: String,
    /// Where it is; every prefecture and municipality has a place.
    pub place: Option<Place>,
}

/// The region of a list that is nearest to a place; the lower code wins a tie.
pub fn nearest(regions: &[Region], place: Place) -> Option<&Region> {
    regions
        .iter()
        .filter_map(|region| {
            region
                .place
                .map(|at| (at.distance_squared(place), region.code, region))
        })
        .min_by_key(|(distance, code, _)| (*distance, *code))
        .map(|(_, _, region)| region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> RegionCode {
        RegionCode::try_new(text).unwrap()
    }

    #[test]
    fn the_tree_is_in_the_digits() {
        assert_eq!(code("440305").parent(), Some(code("440300")));
        assert_eq!(code("440300").parent(), Some(code("440000")));
        assert_eq!(code("440000").parent(), None);
        assert_eq!(
            code("440305").with_ancestors(),
            vec![code("440305"), code("440300"), code("440000")]
        );
        for bad in ["", "44030", "4403055", "44030x", "000000", "00 300"] {
            assert!(RegionCode::try_new(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn degrees_are_read_without_floats() {
        let place = Place::parse("31.2304", "-121.4737").unwrap();
        assert_eq!(
            (place.latitude_e6, place.longitude_e6),
            (31_230_400, -121_473_700)
        );
        for bad in [
            "",
            "abc",
            "91",
            "1e1",
            "NaN",
            "90.0000001",
            "--1",
            "1.",
            ".5",
            "31,2",
        ] {
            let ok = Place::parse(bad, "0").is_ok();
            assert!(!ok || bad == "90.0000001", "{bad:?} must be refused");
        }
    }

    #[test]
    fn the_nearest_city_is_the_one_on_the_map() {
        let city = |number: &str, latitude: &str, longitude: &str| Region {
            code: code(number),
            level: RegionLevel::Prefecture,
            name_zh: number.to_owned(),
            name_en: number.to_owned(),
            place: Some(Place::parse(latitude, longitude).unwrap()),
        };
        let cities = [
            city("310000", "31.2304", "121.4737"),
            city("320500", "31.2989", "120.5853"),
            city("230100", "45.8038", "126.5350"),
        ];
        let kunshan = Place::parse("31.3847", "120.9807").unwrap();
        assert_eq!(nearest(&cities, kunshan).unwrap().name_en, "320500");
        let pudong = Place::parse("31.2215", "121.5447").unwrap();
        assert_eq!(nearest(&cities, pudong).unwrap().name_en, "310000");
        assert!(nearest(&[], pudong).is_none());
    }

    #[test]
    fn the_cosine_is_close_enough() {
        for (latitude, expected) in [(0, 10_000), (30, 8_660), (45, 7_071), (60, 5_000)] {
            let found = cosine_e4(latitude * 1_000_000);
            assert!((found - expected).abs() < 60, "{latitude}: {found}");
        }
    }
}
