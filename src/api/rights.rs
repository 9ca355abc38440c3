//! The table of rights as a page of the documentation: printed from the one in code, so that it cannot
//! say anything else.

use super::auth::{Principal, Right};
use crate::domain::ids::MerchantCode;
use crate::domain::merchant::MerchantKind;
use crate::domain::operator::Role;
use std::fmt::Write;

/// The table of rights in Markdown, as `docs/RIGHTS.md` holds it.
pub fn rights_table() -> String {
    let callers = callers();
    let mut page = String::from(
        "# Rights\n\nWho may do what: the table in `src/api/auth.rs`, printed by `payhall rights`. A \
         merchant sees and touches only what is its own; maker and checker of one case are two people \
         whatever their roles. A right marked \"fresh\" asks an operator's session for a proof of who \
         one is that is at most five minutes old.\n\n| right | fresh |",
    );
    for (name, _) in &callers {
        let _ = write!(page, " {name} |");
    }
    page.push_str("\n|---|---|");
    page.push_str(&"---|".repeat(callers.len()));
    page.push('\n');
    for right in Right::ALL {
        let fresh = if right.needs_fresh() { "fresh" } else { "" };
        let _ = write!(page, "| `{right}` | {fresh} |");
        for (_, principal) in &callers {
            page.push_str(if principal.may(*right) {
                " yes |"
            } else {
                "  |"
            });
        }
        page.push('\n');
    }
    page
}

/// One caller of each kind, under the name of its column.
fn callers() -> Vec<(String, Principal)> {
    let mut callers = vec![("nobody known".to_owned(), Principal::Anonymous)];
    if let Ok(code) = MerchantCode::try_new("merchant") {
        let kind = MerchantKind::Channel;
        callers.push(("merchant".to_owned(), Principal::Merchant { code, kind }));
    }
    callers.extend(Role::ALL.iter().map(|role| {
        let name = "operator".to_owned();
        (
            format!("`{role}`"),
            Principal::Operator { name, role: *role },
        )
    }));
    callers
}
