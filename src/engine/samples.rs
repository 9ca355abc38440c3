//! Made-up merchants for a place without real ones, and how a merchant comes in there: by the verbs
//! that people use, with two people. Demo, tests and benchmark bring theirs in here; there is no other
//! way in.

use super::{Actor, EngineError, Onboarding, SystemClock};
use crate::domain::ids::MerchantCode;
use crate::domain::merchant::{
    Account, CheckItem, Contact, CreditCode, Dossier, Limits, MerchantKind, MerchantVerb, Profile,
};
use crate::domain::refusal::RefusalCode;
use crate::storage::{Store, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Who registers and submits.
pub const MAKER: &str = "operator:ann";
/// Who verifies, approves and activates.
pub const CHECKER: &str = "operator:bob";

/// The merchants of the simulated world: code, names, kind.
pub const MERCHANTS: [(&str, &str, &str, MerchantKind); 3] = [
    (
        "bank-app",
        "本行手机银行",
        "The bank's own app",
        MerchantKind::Own,
    ),
    ("portal", "大门户网", "Big Portal", MerchantKind::Channel),
    ("citylife", "城市生活", "City Life", MerchantKind::Channel),
];

/// A made-up company's profile, right in every field and without any limit.
pub fn profile(name_zh: &str, name_en: &str, kind: MerchantKind) -> Profile {
    let is_channel = kind == MerchantKind::Channel;
    let account = Account {
        bank_code: "102290000012".to_owned(),
        account_no: "6222020000001234567".to_owned(),
        holder: name_zh.to_owned(),
    };
    Profile {
        name_zh: name_zh.to_owned(),
        name_en: name_en.to_owned(),
        credit_code: CreditCode::try_new("91310115000000001U")
            .ok()
            .filter(|_| is_channel),
        contact: Contact {
            name: "王经理".to_owned(),
            phone: "+86 21 5555 0100".to_owned(),
            email: "desk@example.com".to_owned(),
        },
        account: Some(account).filter(|_| is_channel),
        notify_url: None,
        items: BTreeSet::new(),
        regions: BTreeSet::new(),
        limits: Limits::NONE,
    }
}

/// A person of the center.
pub fn person(who: &str) -> Actor {
    Actor {
        who: who.to_owned(),
        request_id: None,
    }
}

/// Brings in the merchants of the simulated world that are not there yet.
///
/// # Errors
/// A refusal, or a fault when storage fails.
pub async fn bring_all_in(store: &Store) -> Result<(), EngineError> {
    let desk = Onboarding::new(store.clone(), Arc::new(SystemClock), true);
    for (code, name_zh, name_en, kind) in MERCHANTS {
        let code =
            MerchantCode::try_new(code).map_err(|bad| StoreError::Refused(bad.to_string()))?;
        match bring_in(&desk, &code, kind, profile(name_zh, name_en, kind)).await {
            Err(EngineError::Refused(refusal)) if refusal.code == RefusalCode::MerchantExists => {}
            brought => drop(brought?),
        }
    }
    Ok(())
}

/// Registers, submits, verifies, approves and activates a merchant.
///
/// # Errors
/// A refusal, such as that the merchant is there already; a fault when storage fails.
pub async fn bring_in(
    desk: &Onboarding,
    code: &MerchantCode,
    kind: MerchantKind,
    profile: Profile,
) -> Result<Dossier, EngineError> {
    let registered = desk.register(code, kind, profile, &person(MAKER)).await?;
    approve(desk, registered).await?;
    let checker = person(CHECKER);
    desk.switch(
        code,
        MerchantVerb::Activate,
        "the contract is in force",
        &checker,
    )
    .await
}

/// Submits, verifies and approves what is proposed for a merchant.
///
/// # Errors
/// A refusal, or a fault when storage fails.
pub async fn approve(desk: &Onboarding, dossier: Dossier) -> Result<Dossier, EngineError> {
    let (maker, checker) = (person(MAKER), person(CHECKER));
    let code = dossier.code.clone();
    let dossier = desk.submit(&code, dossier.version, &maker).await?;
    let proposed = dossier.proposed.iter();
    let hash: String = proposed.map(|revision| dossier.hash_of(revision)).collect();
    for item in CheckItem::ALL {
        desk.check(&code, &hash, (*item, "seen and compared"), &checker)
            .await?;
    }
    desk.approve(&code, &hash, &checker).await
}
