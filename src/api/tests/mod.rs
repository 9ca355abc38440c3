//! Tests of the API as a whole: a real engine on a SQLite file, a bank and a biller that say what a
//! test tells them to, a clock that stands still.

mod cases;
mod examples;
mod http;
mod merchants;
mod notifications;
mod operators;
mod orders;
mod reading;
mod rights;
mod schema;
mod secrets;
mod serve;
mod signed;
mod subscription;
mod support;
mod websocket;
