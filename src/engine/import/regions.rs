//! Rows of regions.

use super::cells::{Cells, Named, Reference, Spot};
use crate::domain::region::{Place, Region, RegionCode, RegionLevel};
use std::collections::HashMap;

/// Reads a region, and notes the province that it names.
pub(super) fn read_region(
    cells: &mut Cells<'_>,
    seen: &mut HashMap<RegionCode, Spot>,
    references: &mut Vec<Reference>,
) -> Option<Region> {
    let code = cells.read("code", RegionCode::try_new);
    let level = cells.one_of("level", RegionLevel::ALL, RegionLevel::as_str);
    let (name_zh, name_en) = (cells.text("name_zh"), cells.text("name_en"));
    let place = read_place(cells, level);
    let code = code?;
    cells.once(code, seen);
    let level = level?;
    check_level(cells, code, level);
    if level == RegionLevel::Prefecture && cells.raw("parent") == code.province().to_string() {
        references.push(Reference {
            spot: cells.spot(),
            column: "parent",
            named: Named::Region(code.province()),
        });
    }
    Some(Region {
        code,
        level,
        name_zh: name_zh?,
        name_en: name_en?,
        place: place?,
    })
}

/// Whether level and parent are those that the digits of the code say.
fn check_level(cells: &mut Cells<'_>, code: RegionCode, level: RegionLevel) {
    let (digits, province) = (code.to_string(), code.province());
    let below = digits.get(2..).unwrap_or_default();
    // Some cities and counties stand directly below their province, under the number 90.
    let (fits, parent, shape) = match level {
        RegionLevel::Province => (below == "0000", String::new(), "end with 0000"),
        RegionLevel::Prefecture => (
            below != "0000" && (below.ends_with("00") || below.starts_with("90")),
            province.to_string(),
            "end with 00 but not 0000, or have 90 in the middle",
        ),
    };
    if !fits {
        let reason = format!("{level} does not fit the code {code}, which would have to {shape}");
        cells.found("level", reason);
    } else if cells.raw("parent") != parent {
        let found = cells.raw("parent");
        let reason = match level {
            RegionLevel::Province => format!("a province has no parent, but here is {found:?}"),
            RegionLevel::Prefecture => {
                format!("the parent of {code} is {parent}, but here is {found:?}")
            }
        };
        cells.found("parent", reason);
    }
}

/// The place of a region; a prefecture has to have one.
fn read_place(cells: &mut Cells<'_>, level: Option<RegionLevel>) -> Option<Option<Place>> {
    let (latitude, longitude) = (cells.raw("latitude"), cells.raw("longitude"));
    match (latitude.is_empty(), longitude.is_empty()) {
        (true, true) if level == Some(RegionLevel::Prefecture) => {
            cells.found("latitude", "a prefecture needs a place");
            None
        }
        (true, true) => Some(None),
        (true, false) => {
            cells.found("latitude", "the cell is empty, but longitude is not");
            None
        }
        (false, true) => {
            cells.found("longitude", "the cell is empty, but latitude is not");
            None
        }
        (false, false) => {
            if let Err(error) = Place::parse(latitude, "0") {
                cells.found("latitude", error);
            }
            if let Err(error) = Place::parse("0", longitude) {
                cells.found("longitude", error);
            }
            Place::parse(latitude, longitude).ok().map(Some)
        }
    }
}
