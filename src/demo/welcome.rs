//! What the demo says when everything is running.

use super::key::KeyFile;
use super::{Folder, Tokens};
use crate::daemon::Daemon;
use std::net::SocketAddr;

/// What can be paid in Shanghai.
const BROWSE: &str =
    r#"{ payableItems(region: \"310000\") { groups { category items { code nameEn mode } } } }"#;
/// A bill.
const BILL: &str = r#"{ bill(item: \"bj-power-bill\", billNo: \"1234567890\") { due { display currency } period holderMasked } }"#;
/// The newest payment in doubt.
const DOUBT: &str =
    r#"{ exceptions(first: 1) { edges { node { orderNo phase polls lastOutcome nextAt } } } }"#;
/// What yesterday's files differ in.
const NIGHT: &str =
    r#"{ discrepancies(first: 5) { edges { node { flowNo class rule caseNo } } } }"#;

/// A call that can be typed.
fn call(address: SocketAddr, token: &str, query: &str) -> String {
    format!(
        "curl -s http://{address}/graphql -H 'content-type: application/json' \\\n     \
         -H 'authorization: Bearer {token}' \\\n     -d '{{\"query\": \"{query}\"}}'"
    )
}

/// Says where everything is, and five things to try; `signed` is a call of the merchant's by its key.
pub(super) fn text(
    daemon: &Daemon,
    sim: SocketAddr,
    tokens: &Tokens,
    folder: &Folder,
    (key, signed): (&KeyFile, &str),
) -> String {
    let address = daemon.addr();
    let (merchant, maker, checker) = (&tokens.merchant, &tokens.maker, &tokens.checker);
    let call = |token: &str, query: &str| call(address, token, query);
    format!(
        "
Payhall is running.

  Playground        http://{address}/playground
  GraphQL           http://{address}/graphql
  Metrics           http://{address}/metrics
  Simulated world   http://{sim}   (bank, billers; POST /admin/faults scripts its moods)
  Notifications     http://{sim}/admin/inbox   (what merchant `portal` was told, signed)
  Folder            {folder}

Tokens (authorization: Bearer ...)
  merchant `portal`          {merchant}
  operator `ann` (maker)     {maker}
  operator `bob` (checker)   {checker}

Five things to try; the numbers are explained in docs/DEMO.md.

1. What can be paid in Shanghai:
   {browse}

2. Look a bill up:
   {bill}

3. The newest payment in doubt: what is being done about it, and when next:
   {doubt}

4. As the merchant's own server calls, by its key and without a token; good once, for five minutes:
   {signed}
   `payhall sign` makes another one, which docs/SIGNING.md explains:
     payhall sign --key {key_file} --key-id {key_id} --url http://{address}/graphql --query '{{ ... }}'

5. The night that was made up for: in what yesterday's flows differ from the files of bank and billers:
   {night}

Ctrl-C ends it.
",
        folder = folder.path().display(),
        key_file = key.path.display(),
        key_id = key.key_id,
        browse = call(merchant, BROWSE),
        bill = call(merchant, BILL),
        night = call(maker, NIGHT),
        doubt = call(maker, DOUBT),
    )
}
