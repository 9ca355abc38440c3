//! The calls about files: which there are, and how they are answered. See the head of [`super`].

use std::sync::Arc;

use chrono::{NaiveDate, SecondsFormat};
use hyper::body::Bytes;
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::layout::Format;
use super::partner::{Partner, TermsSpec};
use super::plant::{Plant, PlantsSpec};
use super::{Ask, DayFile, Refusal, Which, drop_files, make, partner, plant};
use crate::sim::body::SimBody;
use crate::sim::reply::{encode, json_response, problem};
use crate::sim::shared::Shared;

const DIGEST_ENDING: &str = ".sha256";

/// Which files to write into the drop folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DropSpec {
    date: NaiveDate,
    /// None: all.
    partner: Option<String>,
    format: Option<Format>,
}

/// What a good answer is.
enum Answer {
    Json(Value),
    File(DayFile),
    Digest(DayFile),
}

/// Whether a path is about files.
pub(in crate::sim) fn is_mine(path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    match parts.next() {
        Some("files") => true,
        Some("admin") => matches!(parts.next(), Some("files" | "partners" | "plants")),
        _ => false,
    }
}

/// Answers a call about files, on a thread that may wait for the disk.
pub(in crate::sim) async fn answer(
    shared: &Arc<Shared>,
    head: Parts,
    body: Bytes,
) -> Response<SimBody> {
    let shared = Arc::clone(shared);
    let answering = tokio::task::spawn_blocking(move || match route(&shared, &head, &body) {
        Ok(Answer::Json(value)) => json_response(encode(&value)),
        Ok(Answer::File(file)) => send(&head, file),
        Ok(Answer::Digest(file)) => {
            let mut response = Response::new(SimBody::full(file.sidecar(&file.name)));
            set(&mut response, CONTENT_TYPE, "text/plain; charset=utf-8");
            response
        }
        Err(refusal) => refuse(&shared, refusal),
    });
    answering
        .await
        .unwrap_or_else(|error| problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
}

/// The file, or word that it is the one that the caller has.
fn send(head: &Parts, file: DayFile) -> Response<SimBody> {
    let known = head.headers.get(IF_NONE_MATCH);
    let known = known
        .and_then(|tags| tags.to_str().ok())
        .unwrap_or_default();
    let is_known = known.split(',').any(|tag| tag.trim() == file.tag);
    let mut response = if is_known {
        let mut response = Response::new(SimBody::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(SimBody::full(file.bytes))
    };
    let disposition = format!("attachment; filename=\"{}\"", file.name);
    set(&mut response, CONTENT_TYPE, file.content_type);
    set(&mut response, CONTENT_DISPOSITION, &disposition);
    set(&mut response, ETAG, &file.tag);
    response
}

fn refuse(shared: &Shared, refusal: Refusal) -> Response<SimBody> {
    let Refusal {
        status,
        code,
        message,
        ready_at,
    } = refusal;
    let ready = ready_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let body = json!({ "code": code, "message": message, "ready_at": ready });
    let mut response = json_response(encode(&body));
    *response.status_mut() = status;
    if let Some(at) = ready_at {
        let wait_s = (at - shared.clock.now()).num_seconds().max(0) + 1;
        set(&mut response, RETRY_AFTER, &wait_s.to_string());
    }
    response
}

/// Everything that is put into a header here is visible ASCII.
fn set(response: &mut Response<SimBody>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn route(shared: &Shared, head: &Parts, body: &[u8]) -> Result<Answer, Refusal> {
    let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    match (&head.method, path.as_slice()) {
        (&Method::GET, ["files", partner, day]) => {
            let format = format_of(head.uri.query())?;
            match day.strip_suffix(DIGEST_ENDING) {
                None => Ok(Answer::File(make(shared, ask(partner, day, format)?)?)),
                Some(day) => Ok(Answer::Digest(make(shared, ask(partner, day, format)?)?)),
            }
        }
        (&Method::POST, ["admin", "files"]) => {
            let DropSpec {
                date,
                partner: name,
                format,
            } = decode(body)?;
            let partners: Vec<Partner> = match name {
                Some(name) => vec![partner(&name)?],
                None => Partner::all().collect(),
            };
            let asks: Vec<Ask> = partners
                .into_iter()
                .map(|partner| Ask {
                    partner,
                    date,
                    format,
                })
                .collect();
            Ok(Answer::Json(json!({ "files": drop_files(shared, &asks)? })))
        }
        (&Method::GET, ["admin", "partners"]) => Ok(Answer::Json(partners(shared))),
        (&Method::POST, ["admin", "partners"]) => {
            change(shared, &decode(body)?)?;
            Ok(Answer::Json(partners(shared)))
        }
        (&Method::POST, ["admin", "plants"]) => {
            let spec: PlantsSpec = decode(body)?;
            Ok(Answer::Json(list(plant(shared, &spec)?.iter())))
        }
        (&Method::GET, ["admin", "plants", rest @ ..]) => {
            let which = which(rest)?;
            let book = shared.files.book();
            Ok(Answer::Json(list(
                book.kept.plants.iter().filter(|plant| which.holds(plant)),
            )))
        }
        (&Method::DELETE, ["admin", "plants", rest @ ..]) => {
            let which = which(rest)?;
            let removed = shared.files.book().change(|kept| kept.remove(which));
            Ok(Answer::Json(
                json!({ "removed": removed.map_err(Refusal::fault)? }),
            ))
        }
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "NO_SUCH_PATH",
            "no such path, or not with this method",
        )),
    }
}

fn ask(name: &str, day: &str, format: Option<Format>) -> Result<Ask, Refusal> {
    Ok(Ask {
        partner: partner(name)?,
        date: date(day)?,
        format,
    })
}

fn date(text: &str) -> Result<NaiveDate, Refusal> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d");
    date.map_err(|_| Refusal::input(format!("{text:?} is no date; write it as 2026-11-29")))
}

fn format_of(query: Option<&str>) -> Result<Option<Format>, Refusal> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(None);
    };
    let name = query.strip_prefix("format=").ok_or_else(|| {
        Refusal::input("the only thing that can be asked for is the format: ?format=pipe")
    })?;
    let format = Format::find(name).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        Refusal::input(format!(
            "no format {name:?}; there are {}",
            names.join(", ")
        ))
    })?;
    Ok(Some(format))
}

fn which<'a>(rest: &[&'a str]) -> Result<Which<'a>, Refusal> {
    match rest {
        [] => Ok(Which::All),
        [id] => {
            let id = id
                .parse()
                .map_err(|_| Refusal::input("the id is a number"))?;
            Ok(Which::One(id))
        }
        [name, day] => Ok(Which::Day(partner(name)?.name(), date(day)?)),
        _ => Err(Refusal::input(
            "which plants: /admin/plants/{id} or /admin/plants/{partner}/{date}",
        )),
    }
}

fn list<'a>(plants: impl Iterator<Item = &'a Plant>) -> Value {
    json!({ "plants": plants.collect::<Vec<_>>() })
}

fn partners(shared: &Shared) -> Value {
    let book = shared.files.book();
    let all = Partner::all().map(|partner| {
        let terms = book.terms(partner);
        json!({ "partner": partner.name(), "terms": terms })
    });
    json!({ "partners": all.collect::<Vec<_>>(), "drop_folder": shared.files.drop_folder })
}

fn change(shared: &Shared, spec: &TermsSpec) -> Result<(), Refusal> {
    let partner = partner(&spec.partner)?;
    let mut book = shared.files.book();
    let planted = book
        .kept
        .plants
        .iter()
        .any(|plant| plant.partner == partner.name());
    if planted && spec.moves_lines() {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "PLANTED",
            "lines would move between files in which something is planted; \
             take it back first: DELETE /admin/plants",
        ));
    }
    let terms = spec.change(&book.terms(partner)).map_err(Refusal::input)?;
    let changed = book.change(|kept| kept.terms.insert(partner.name().to_owned(), terms));
    changed.map(|_| ()).map_err(Refusal::fault)
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    crate::sim::decode::decode(body).map_err(Refusal::input)
}
