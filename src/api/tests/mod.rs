//! Tests of the API as a whole: a real engine on a SQLite file, a bank and a biller that say what a
//! test tells them to, a clock that stands still.

mod cases;
mod examples;
mod hand_out;
mod http;
mod jobs;
mod limits;
mod matrix;
mod merchants;
mod night;
mod notifications;
mod operators;
mod orders;
mod reading;
mod results;
mod rights;
mod schema;
mod secrets;
mod serve;
mod signed;
mod slow;
mod statements;
mod subscription;
mod support;
mod two_people;
mod websocket;
mod websocket_keys;
