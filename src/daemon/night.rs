//! What the night needs of the settings: the calendar, the profiles of files, and where files are kept.

use crate::config::Config;
use crate::domain::calendar::Calendar;
use crate::domain::time::Instant;
use crate::engine::StatementRules;
use crate::files::{ProfileProblem, Profiles};
use crate::output::Objects;
use anyhow::{Context, bail};
use std::time::Duration;

/// The calendar of holidays that the settings name.
///
/// # Errors
/// The file cannot be read, or a line of it cannot be used.
pub fn calendar(config: &Config) -> anyhow::Result<Calendar> {
    let Some(file) = config.center.calendar_file() else {
        return Ok(Calendar::china());
    };
    let named = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(named)?;
    Calendar::read(&text).with_context(named)
}

/// Which year the calendar lacks, to be said at start; none where it has what is needed.
///
/// # Errors
/// As [`calendar`].
pub fn calendar_warning(config: &Config, now: Instant) -> anyhow::Result<Option<String>> {
    let calendar = calendar(config).context("center.calendar")?;
    let unknown = calendar.unknown_year(config.business_day().date_of(now));
    Ok(unknown.map(|unknown| unknown.to_string()))
}

/// The profiles of files: those compiled in, and those of the settings' folder.
///
/// # Errors
/// The folder cannot be read, a profile has mistakes (all of them, a line each), the settings name one that
/// there is not, or name one for statements by which none can be written.
pub fn profiles(config: &Config) -> anyhow::Result<Profiles> {
    let profiles = load_profiles(config)?;
    let statements = &config.statements;
    let parties = statements.profiles.iter();
    let parties = parties.map(|(party, name)| (format!("statements.profiles.{party:?}"), name));
    let partners = config.partners.iter();
    let partners =
        partners.map(|(partner, it)| (format!("partners.{partner}.profile"), &it.profile));
    let default = [("statements.profile".to_owned(), &statements.profile)];
    for (path, name) in default.into_iter().chain(parties) {
        let profile = profiles.get(name).with_context(|| path.clone())?;
        if let Some(lack) = profile.unfit_for_statements() {
            bail!("{path}: the profile {name:?} does not do for statements: {lack}");
        }
    }
    for (path, name) in partners {
        profiles.get(name).with_context(|| path)?;
    }
    Ok(profiles)
}

fn load_profiles(config: &Config) -> anyhow::Result<Profiles> {
    let mut own = Vec::new();
    if let Some(folder) = config.files.folder() {
        let named = || format!("files.profiles_dir: {}", folder.display());
        for entry in std::fs::read_dir(folder).with_context(named)? {
            let path = entry.with_context(named)?.path();
            if path.extension().is_none_or(|ending| ending != "toml") {
                continue;
            }
            let text =
                std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let name = path.file_stem().unwrap_or_default();
            own.push((name.to_string_lossy().into_owned(), text));
        }
    }
    let own = own
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    match Profiles::load(own) {
        Ok(profiles) => Ok(profiles),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(ProfileProblem::to_string).collect();
            bail!(
                "the profiles of files cannot be used:\n{}",
                lines.join("\n")
            )
        }
    }
}

/// How statements are made; none where files are kept nowhere.
///
/// # Errors
/// As [`profiles`], or a party is named in another way than its kind and code.
pub fn statement_rules(
    config: &Config,
    objects: Option<Objects>,
) -> anyhow::Result<Option<StatementRules>> {
    let settings = &config.statements;
    let profiles = profiles(config)?;
    for party in settings.profiles.keys() {
        if !matches!(party.split_once(':'), Some(("merchant" | "biller", _))) {
            bail!(
                "statements.profiles.{party:?}: a party is named as merchant:CODE or biller:CODE"
            );
        }
    }
    let Some(objects) = objects else {
        tracing::warn!(
            "no statements are made and nothing is reconciled: name a place for files (files.url)"
        );
        return Ok(None);
    };
    Ok(Some(StatementRules {
        objects,
        profiles,
        profile: settings.profile.clone(),
        profile_of: settings.profiles.clone(),
        xlsx_rows_max: settings.xlsx_rows_max,
        keep_months: settings.keep_months,
        ready_at: config.statements_ready_at(),
        link_lasts: Duration::from_secs(settings.link_lasts_s),
    }))
}

/// The store of files; none where files are kept nowhere.
///
/// # Errors
/// The place cannot be used.
pub fn files(config: &Config) -> anyhow::Result<Option<Objects>> {
    let opened = config.files_place().map(|url| Objects::open(&url));
    opened.transpose().context("files.url")
}

/// The same for somebody who only reads.
///
/// # Errors
/// The place cannot be used.
pub fn files_to_read(config: &Config) -> anyhow::Result<Option<Objects>> {
    let opened = config.files_place().map(|url| Objects::to_read(&url));
    opened.transpose().context("files.url")
}
