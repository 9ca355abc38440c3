//! Issues one statement: the version that it needs, its files, its signed sidecar, its row.

use super::content::Told;
use super::render::{Rendered, Rendering, Watch, Workbook};
use super::{Engine, RenderError, StatementError, StatementRules};
use crate::domain::audit::AuditEntry;
use crate::domain::audit_heads::{Head as AuditHead, HeadsSignature, write as write_signed};
use crate::domain::business_day::ClosedDay;
use crate::domain::ids::{BillerCode, MerchantCode};
use crate::domain::statement::{KeptFile, PartyKind, Statement, StatementKey};
use crate::engine::Actor;
use crate::files::profile::{Layout, Packing};
use crate::files::{Field, Profile, Sidecar};
use crate::output::Upload;
use crate::storage::{Tx, contracts, statements};
use crate::trust::sign_document;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// How often a version that somebody else issued is looked at.
const ROUNDS_MAX: u32 = 8;

/// What a statement is issued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Because the night looks whether there is something to tell.
    Changed,
    /// Because an operator asks for it: also where only the profile is another one now.
    ByOperator,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Issued {
    /// The last version tells all there is to tell.
    Stood(Box<Statement>),
    /// There is another version.
    New(Box<Statement>),
}

impl Engine {
    /// Issues a statement of a closed day, if its last version does not tell the same.
    pub(super) async fn issue(
        &self,
        day: &ClosedDay,
        (told, watch): (&Told, &Watch),
        order: Order,
        actor: &Actor,
    ) -> Result<Issued, StatementError> {
        let rules = self.statement_rules()?;
        for _ in 0..ROUNDS_MAX {
            let key = told.key.clone();
            let last = move |c: &mut _| statements::find(c, &key, None);
            let last = self.0.store.read(last).await?;
            if let Some(last) = &last {
                let is_known = last.content == told.content && order == Order::Changed;
                if is_known || self.still_stands(&rules, last, told, order).await? {
                    return Ok(Issued::Stood(Box::new(last.clone())));
                }
            }
            let version = last.map_or(1, |last| last.version + 1);
            let statement = self
                .render(&rules, day, (told, watch), version, actor)
                .await?;
            if self.publish_statement(&statement, actor).await? {
                return Ok(Issued::New(Box::new(statement)));
            }
        }
        Err(StatementError::Busy(told.key.party.clone(), told.key.date))
    }

    /// Whether the last version would come out with the same bytes and sums again; then its content is written
    /// down. Not every profile has the fees in its file.
    async fn still_stands(
        &self,
        rules: &StatementRules,
        last: &Statement,
        told: &Told,
        order: Order,
    ) -> Result<bool, StatementError> {
        let profile = match order {
            Order::Changed => rules.profiles.get(&last.profile).ok(),
            Order::ByOperator => Some(self.profile_of(rules, &told.key)?),
        };
        let Some(profile) = profile else {
            return Ok(false);
        };
        let rendering = self.rendering(&last.key, last.version, profile).await?;
        let rendered = match rendering.measure(&self.0.store).await {
            Ok(rendered) => rendered,
            // What that profile has no place for was not told by it: the party may have another one by now.
            Err(RenderError::Write(_)) => return Ok(false),
            Err(error) => return Err(wrong_with(&last.key)(error)),
        };
        if hex(&rendered.written.sha256) != last.file.sha256 || rendered.sums != last.sums {
            return Ok(false);
        }
        let (last, content) = (last.clone(), told.content.clone());
        let write = move |tx: &mut Tx<'_>| tx.statement_stands(&last, &content);
        self.0.store.solo(write).await?;
        Ok(true)
    }

    fn profile_of(
        &self,
        rules: &StatementRules,
        key: &StatementKey,
    ) -> Result<Arc<Profile>, StatementError> {
        let profile = rules.profile_for(&key.party);
        profile.map_err(|error| StatementError::Profile(key.party.clone(), error))
    }

    async fn rendering(
        &self,
        key: &StatementKey,
        version: i32,
        profile: Arc<Profile>,
    ) -> Result<Rendering, StatementError> {
        let catalogue = self.catalogue();
        let code = key.party.code.as_str();
        let name = match key.party.kind {
            PartyKind::Merchant => MerchantCode::try_new(code)
                .ok()
                .and_then(|code| catalogue.merchant(&code)?.profile.as_ref())
                .map(|profile| profile.name_zh.clone()),
            PartyKind::Biller => BillerCode::try_new(code)
                .ok()
                .and_then(|code| catalogue.biller(&code).map(|one| one.name_zh.clone())),
        };
        let notes: HashMap<String, String> = match profile.has(Field::Note) {
            true => {
                let items = catalogue.items();
                items
                    .map(|item| (item.code.to_string(), item.name_zh.clone()))
                    .collect()
            }
            false => HashMap::new(),
        };
        Ok(Rendering {
            key: key.clone(),
            version,
            profile,
            party_name: name.unwrap_or_else(|| code.to_owned()),
            zone: self.0.options.day.zone,
            contracts: Arc::new(self.0.store.read(contracts::load).await?),
            notes: Arc::new(notes),
            workbook: Workbook::None,
            watch: Watch::silent(),
        })
    }

    /// Writes the files of a version; when this returns they are durable.
    async fn render(
        &self,
        rules: &StatementRules,
        day: &ClosedDay,
        (told, watch): (&Told, &Watch),
        version: i32,
        actor: &Actor,
    ) -> Result<Statement, StatementError> {
        let key = &told.key;
        let profile = self.profile_of(rules, key)?;
        let mut rendering = self.rendering(key, version, profile.clone()).await?;
        rendering.watch = watch.clone();
        if told.flows <= rules.xlsx_rows_max && rules.xlsx_rows_max > 0 {
            rendering.workbook = Workbook::Beside;
        }
        let named = rendering.head(None).file_name(&profile);
        let named = named.map_err(|error| wrong_with(key)(error.into()))?;
        let place = Place {
            key,
            version,
            file_name: named.replace(['/', '\\'], "_"),
        };
        let uploaded = rendering.clone().upload(&self.0.store, &rules.objects);
        let (mut rendered, upload) = uploaded.await.map_err(wrong_with(key))?;
        let sha256 = hex(&rendered.written.sha256);
        let object = place.of(&sha256, &place.file_name);
        upload.finish(&object).await?;
        let workbook = rendered.workbook.take();
        let xlsx = self.put_workbook(rules, &place, workbook).await?;
        let sidecar = self.sidecar(&rendering, &rendered, &place.file_name, day)?;
        let sidecar_sha256 = hex(&Sha256::digest(&sidecar));
        let sidecar_object = place.of(&sidecar_sha256, &format!("{}.json", place.file_name));
        rules.objects.put(&sidecar_object, sidecar).await?;
        Ok(Statement {
            key: key.clone(),
            version,
            profile: profile.name.clone(),
            content: told.content.clone(),
            flows: wide(rendered.written.totals.rows()),
            file: KeptFile {
                object,
                bytes: wide(rendered.written.bytes),
                sha256,
            },
            media_type: media_type(&profile).to_owned(),
            xlsx,
            sidecar_object,
            sidecar_sha256,
            made_at: self.now(),
            made_by: actor.who.clone(),
            sums: rendered.sums,
        })
    }

    async fn put_workbook(
        &self,
        rules: &StatementRules,
        place: &Place<'_>,
        workbook: Option<(crate::files::Written, Vec<u8>)>,
    ) -> Result<Option<KeptFile>, StatementError> {
        let Some((written, bytes)) = workbook else {
            return Ok(None);
        };
        let sha256 = hex(&written.sha256);
        let stem = place.file_name.split('.').next().unwrap_or_default();
        let object = place.of(&sha256, &format!("{stem}.xlsx"));
        let length = wide(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let mut upload: Upload = rules.objects.begin();
        upload.put(bytes).await?;
        upload.finish(&object).await?;
        Ok(Some(KeptFile {
            object,
            bytes: length,
            sha256,
        }))
    }

    /// The sidecar, as the heads of the audit trail are published: the payload on a line of its own, the
    /// signature on another. A center without a master key has nothing to sign with.
    fn sidecar(
        &self,
        rendering: &Rendering,
        rendered: &Rendered,
        file_name: &str,
        day: &ClosedDay,
    ) -> Result<Vec<u8>, StatementError> {
        let sidecar = Sidecar::new(
            &rendering.head(None),
            (&rendering.profile.name, file_name),
            &rendered.written,
            self.0.options.day.end_of(day.date),
            Some(AuditHead::from(&day.told_by)),
        );
        let payload = sidecar.canonical_bytes();
        let Some(key) = self.center_key() else {
            let unsigned = [
                b"{\"payload\":\n",
                payload.as_slice(),
                b",\"signature\":\nnull\n}\n",
            ];
            return Ok(unsigned.concat());
        };
        let value = sign_document(&key.private, &payload)
            .map_err(|error| StatementError::NotSigned(error.to_string()))?;
        let signature = HeadsSignature {
            key_id: key.key_id.to_string(),
            algorithm: key.private.algorithm(),
            value: STANDARD.encode(value),
        };
        write_signed(&payload, &signature)
            .map_err(|error| StatementError::NotSigned(error.to_string()))
    }

    /// Writes the row; false where somebody else has published that version.
    async fn publish_statement(
        &self,
        statement: &Statement,
        actor: &Actor,
    ) -> Result<bool, StatementError> {
        let key = &statement.key;
        let entry = AuditEntry {
            subject_kind: "STATEMENT",
            subject: format!(
                "{} {} {} v{}",
                key.party, key.date, key.currency, statement.version
            ),
            after: Some(statement.file.sha256.clone()),
            detail: Some(format!(
                "{} flows by {}",
                statement.flows, statement.profile
            )),
            ..self.audit(statement.made_at, actor, "STATEMENT_ISSUED")
        };
        let written = statement.clone();
        let publish = move |tx: &mut Tx<'_>| {
            let is_new = tx.publish_statement(&written)?;
            if is_new {
                tx.audit(entry.clone())?;
            }
            Ok(is_new)
        };
        Ok(self.0.store.solo(publish).await?)
    }
}

/// Where the files of a version lie.
struct Place<'a> {
    key: &'a StatementKey,
    version: i32,
    file_name: String,
}

impl Place<'_> {
    /// The name of an object with this digest.
    fn of(&self, sha256: &str, file_name: &str) -> String {
        let StatementKey {
            party,
            date,
            currency,
        } = self.key;
        let (kind, code) = (party.kind, &party.code);
        // A code of dots alone would be a step upwards.
        let version = self.version;
        let name = format!("statements/{date}/{kind}/={code}/{currency}/v{version}/{sha256}");
        let file: String = file_name
            .chars()
            .map(|c| match c {
                c if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') => c,
                _ => '_',
            })
            .collect();
        format!("{name}/{file}")
    }
}

fn wrong_with(key: &StatementKey) -> impl FnOnce(RenderError) -> StatementError + use<> {
    let (party, date) = (key.party.clone(), key.date);
    move |error| match error {
        RenderError::Objects(error) => StatementError::Objects(error),
        RenderError::Store(error) => StatementError::Store(error),
        error => StatementError::Render(party, date, Box::new(error)),
    }
}

fn media_type(profile: &Profile) -> &'static str {
    match (profile.packing, &profile.layout) {
        (Packing::Gzip, _) => "application/gzip",
        (Packing::Zip, _) => "application/zip",
        (
            Packing::None,
            Layout::Delimited {
                delimiter: b',', ..
            },
        ) => "text/csv",
        (Packing::None, _) => "text/plain",
    }
}

fn hex(bytes: &[u8]) -> String {
    crate::domain::audit::hex(bytes)
}

fn wide(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
