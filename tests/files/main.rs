//! Files as partners see them: what is written is read by programs that nobody here wrote, what is
//! broken is refused as a whole with its line, and memory stays small whatever comes.

mod bad;
mod bombs;
mod clients;
mod encodings;
mod golden;
mod long;
mod profiles;
mod round_trips;
mod sample;
mod workbook;
