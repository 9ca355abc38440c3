//! Canaries: a secret in every input that takes one, and everything that the program puts out searched
//! for them, with its logs at their loudest. What is told in confidence, once and to one caller, is taken
//! out of what is searched; where else it might stand is what this is about.

use crate::center::{Caller, Hand, MASTER, PUBLIC, Told, bearer, body};
use crate::support::client::{CHECKER, MAKER, MERCHANT};
use crate::support::database::TestDatabase;
use crate::support::process::wait_for;
use crate::support::redis::PrivateRedis;
use crate::support::world::{Daemon, FEE, Setup, TOPUP, World};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use payhall::domain::audit::hex;
use payhall::domain::key::Algorithm;
use payhall::trust::PrivateKey;
use serde_json::{Value, json};
use std::process::Output;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// The master key that takes over from the first one.
const NEXT_MASTER: &str = "Y0FuQXJZLW5leHQtbWFzdGVyLWtleS0zMi1ieXRlcyE=";
const PASSWORD: &str = "cAnArY of the coal mine 1";
const NEXT_PASSWORD: &str = "cAnArY of the coal mine 2";
const DATABASE: &str = "cAnArY-database";
const REDIS: &str = "cAnArY-redis";
const WEBHOOK: &str = "cAnArY-webhook";
const CREDENTIAL: &str = "cAnArY-credential";

/// What may be found nowhere, each with what it is.
#[derive(Default)]
struct Secrets(Vec<(String, Vec<u8>)>);

impl Secrets {
    fn text(&mut self, what: &str, secret: &str) {
        self.0.push((what.to_owned(), secret.as_bytes().to_vec()));
    }

    /// Bytes as they are and in every spelling that somebody might print them in.
    fn bytes(&mut self, what: &str, secret: &[u8]) {
        self.0.push((format!("{what}, raw"), secret.to_vec()));
        let debug = format!("{secret:?}");
        let debug = debug.trim_matches(['[', ']']);
        for (how, text) in [
            ("hex", hex(secret)),
            ("HEX", hex(secret).to_uppercase()),
            (
                "base64",
                STANDARD.encode(secret).trim_end_matches('=').to_owned(),
            ),
            ("base64url", URL_SAFE_NO_PAD.encode(secret)),
            ("numbers", debug.to_owned()),
        ] {
            self.text(&format!("{what}, {how}"), &text);
        }
    }

    /// A private key: its PEM by lines, the whole of it in DER, and the number that it comes down to.
    fn private_key(&mut self, what: &str, algorithm: Algorithm, pem: &str) {
        let lines = pem.lines().filter(|line| !line.starts_with("-----"));
        for line in lines.filter(|line| line.len() > 20) {
            self.text(&format!("{what}, PEM"), line);
        }
        let private = PrivateKey::from_pem(algorithm, pem).expect("a key");
        let der = private.to_pkcs8().expect("PKCS#8");
        self.bytes(&format!("{what}, DER"), &der);
        let seed = match algorithm {
            Algorithm::Ed25519 => 16..48,
            _ => 36..68,
        };
        self.bytes(&format!("{what}, the number"), &der[seed]);
    }

    /// Which of them stand in a place, with what stands around them.
    fn found_in(&self, place: &str, content: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (what, secret) in &self.0 {
            assert!(secret.len() >= 6, "{what} is too short to look for");
            let mut places = content.windows(secret.len());
            if let Some(at) = places.position(|part| part == secret) {
                let around = &content[at.saturating_sub(200)..(at + 200).min(content.len())];
                let around = String::from_utf8_lossy(around);
                found.push(format!("{what} stands in {place}: {around}"));
            }
        }
        found
    }
}

/// What commands said.
#[derive(Default)]
struct Said(String);

impl Said {
    fn hear(&mut self, output: &Output) -> bool {
        for stream in [&output.stdout, &output.stderr] {
            self.0.push_str(&String::from_utf8_lossy(stream));
        }
        output.status.success()
    }
}

/// What goes through a center in this test.
struct Mine {
    world: World,
    caller: Caller,
    secrets: Secrets,
    said: Said,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_found_in_anything_that_comes_out() {
    for mut database in TestDatabase::all() {
        database.url = database
            .url
            .replacen("payhall@", &format!("payhall:{DATABASE}@"), 1);
        let redis = PrivateRedis::start("the password of a cache");
        let mut setup = Setup::on(database)
            .set("keys.master", MASTER)
            .set("api.public_url", format!("{}://{}", PUBLIC.0, PUBLIC.1))
            .set("logs.filter", "trace");
        if let Some(redis) = &redis {
            redis.ask(&["CONFIG", "SET", "requirepass", REDIS]);
            setup = setup.set("cache.url", format!("{}?pass={REDIS}", redis.url()));
        }
        let mut world = setup.start().await;
        world.set(
            "alarms.webhook_url",
            format!("{}/webhook?token={WEBHOOK}", world.sim.url),
        );
        let daemon = world.daemon().await;
        let caller = Caller::new(&daemon.url);
        let mut mine = Mine {
            world,
            caller,
            secrets: Secrets::default(),
            said: Said::default(),
        };
        mine.given_by_the_settings();
        let doubtful = mine.payments(&daemon).await;
        mine.keys().await;
        mine.signed_calls().await;
        mine.people().await;
        mine.strangers().await;
        mine.commands();
        mine.another_master(&daemon, &doubtful).await;
        mine.search(daemon).await;
    }
}

impl Mine {
    fn given_by_the_settings(&mut self) {
        for (what, text) in [
            ("the password of the database", DATABASE),
            ("the password of Redis", REDIS),
            ("the token of the webhook", WEBHOOK),
            ("a merchant's token", MERCHANT),
            ("a maker's token", MAKER),
            ("a checker's token", CHECKER),
            ("a credential", CREDENTIAL),
            ("a password", PASSWORD),
            ("a new password", NEXT_PASSWORD),
            // Whatever else was put in below.
            ("a canary", "cAnArY"),
        ] {
            self.secrets.text(what, text);
        }
        for master in [MASTER, NEXT_MASTER] {
            let raw = STANDARD.decode(master).expect("base64");
            self.secrets.bytes("a master key", &raw);
        }
    }

    /// Orders with credentials, good and bad; the number of one that becomes a case, with its alarm.
    async fn payments(&mut self, daemon: &Daemon) -> String {
        let sim = &self.world.sim;
        let bill_no = "S20260001";
        let unknown = json!({ "status": -1 });
        let asked = |answer: Value| json!({ "op": "QUERY", "bill_no": bill_no, "answer": answer });
        let paid = json!({ "op": "PAY", "bill_no": bill_no, "effect": "NOW", "answer": unknown });
        sim.fault(paid).await;
        let silence = sim.fault(asked(json!({ "hang": true }))).await;
        let made = daemon.merchant().create("R-1", (FEE, bill_no), 5_000).await;
        let doubtful = made.expect("an order").order_no;
        let input = json!({ "orderNo": doubtful, "credential": CREDENTIAL });
        let confirm = |input: &Value| body("orderConfirm", "order { state }", input);
        let told = self.caller.send(&bearer(MERCHANT), confirm(&input)).await;
        assert_eq!(told.payload()["order"]["state"], "UNKNOWN", "{told:?}");
        let made = daemon
            .merchant()
            .create("R-2", (TOPUP, "13800000001"), 5_000)
            .await;
        let order_no = made.expect("an order").order_no;
        for input in [
            json!({ "orderNo": order_no, "credential": [CREDENTIAL] }),
            json!({ "orderNo": order_no, "credential": CREDENTIAL, "more": CREDENTIAL }),
            json!({ "orderNo": order_no, "credential": CREDENTIAL.repeat(500) }),
            json!({ "orderNo": CREDENTIAL, "credential": CREDENTIAL }),
            json!({ "orderNo": order_no, "credential": CREDENTIAL }),
        ] {
            self.caller.send(&bearer(MERCHANT), confirm(&input)).await;
        }
        let written_in = format!(
            "mutation {{ orderConfirm(input: {{orderNo: \"{order_no}\", credential: \"{CREDENTIAL}\"}}) \
             {{ order {{ {CREDENTIAL} }} }} }}"
        );
        let written_in = json!({ "query": written_in }).to_string();
        let cut = written_in[..written_in.len() - 30].to_owned();
        for text in [written_in, cut, format!("{{\"query\": {CREDENTIAL}")] {
            self.caller.send(&bearer(MERCHANT), text).await;
        }
        let paid = daemon.merchant().at_rest(&order_no, PATIENCE).await;
        assert_eq!(paid.state, "SUCCEEDED");
        sim.remove_fault(silence).await;
        sim.fault(asked(unknown)).await;
        doubtful
    }

    /// Pairs that the center made, of each kind that it makes, handed out for their tickets.
    async fn keys(&mut self) {
        for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256Sha256] {
            let name = algorithm.as_str().to_uppercase().replace('-', "_");
            let input = json!({ "merchant": "portal", "algorithm": name });
            let (key_id, ticket) = self.issued("keyIssue", &input).await;
            self.approved(&key_id).await;
            for ticket in ["cAnArY-ticket", &ticket[1..]] {
                let input = json!({ "keyId": key_id, "ticket": ticket });
                let take = body("keyHandOut", "privateKey", &input);
                let told = self.caller.send(&[], take).await;
                assert_eq!(
                    told.payload()["userErrors"][0]["code"],
                    "KEY_TICKET_INVALID"
                );
            }
            self.handed_out(algorithm, &key_id, &ticket).await;
            // One more takes its place, is approved, and is handed out as well.
            let (next, ticket) = self.issued("keyRotate", &json!({ "keyId": key_id })).await;
            self.approved(&next).await;
            self.handed_out(algorithm, &next, &ticket).await;
            // A third one stays where it is, for the new master key to find.
            self.issued("keyRotate", &json!({ "keyId": next })).await;
        }
        // Somebody takes the wrong half of a pair of their own.
        let private = PrivateKey::generate(Algorithm::Ed25519).expect("a pair");
        let pem = private.to_pem().expect("PEM");
        self.secrets
            .private_key("a merchant's key", Algorithm::Ed25519, &pem);
        let input = json!({ "merchant": "portal", "algorithm": "ED25519", "publicKey": *pem });
        let pasted = body("keyIssue", "key { keyId }", &input);
        let told = self.caller.send(&bearer(MAKER), pasted).await;
        assert_eq!(told.payload()["userErrors"][0]["code"], "KEY_INVALID");
    }

    async fn issued(&mut self, field: &str, input: &Value) -> (String, String) {
        let text = body(field, "key { keyId } ticket", input);
        let told = self.caller.send_in_confidence(&bearer(MAKER), text).await;
        let ticket = told.payload()["ticket"]
            .as_str()
            .unwrap_or_else(|| panic!("{told:?}"));
        self.secrets.text("a ticket", ticket);
        let key_id = told.payload()["key"]["keyId"].as_str().expect("an id");
        (key_id.to_owned(), ticket.to_owned())
    }

    async fn approved(&self, key_id: &str) {
        let approve = json!({ "keyId": key_id, "version": 0 });
        let approve = body(
            "keyApprove",
            "key { state publicKey maker checker }",
            &approve,
        );
        let told = self.caller.send(&bearer(CHECKER), approve).await;
        assert_eq!(told.payload()["key"]["state"], "ACTIVE", "{told:?}");
    }

    async fn handed_out(&mut self, algorithm: Algorithm, key_id: &str, ticket: &str) {
        let take = json!({ "keyId": key_id, "ticket": ticket });
        let take = body("keyHandOut", "privateKey", &take);
        let told = self.caller.send_in_confidence(&[], take.clone()).await;
        let pem = told.payload()["privateKey"]
            .as_str()
            .unwrap_or_else(|| panic!("{told:?}"));
        self.secrets
            .private_key("a key that was handed out", algorithm, pem);
        self.caller.send(&[], take).await;
    }

    /// Signed calls, good, tampered with, forged and repeated.
    async fn signed_calls(&mut self) {
        const WHO: &str = r#"{"query":"{ serverInfo { caller } }"}"#;
        let hand = Hand::of(&self.caller, Algorithm::Ed25519).await;
        let pem = hand.private.to_pem().expect("PEM");
        self.secrets
            .private_key("a signing key", Algorithm::Ed25519, &pem);
        let good = hand.sign("n-1", 0, WHO);
        let forger = Hand {
            key_id: hand.key_id.clone(),
            private: PrivateKey::generate(Algorithm::Ed25519).expect("a pair"),
        };
        for (headers, text, status) in [
            (good.clone(), WHO, 200),
            (good, WHO, 401),
            (hand.sign("n-2", 0, WHO), "{\"query\":\"{ cAnArY }\"}", 401),
            (hand.sign("n-3", 301, WHO), WHO, 401),
            (forger.sign("n-4", 0, WHO), WHO, 401),
        ] {
            let told = self.caller.send(&headers, text.to_owned()).await;
            assert_eq!(told.status, status, "{told:?}");
        }
    }

    /// Logging in well and badly, one-time codes, passwords that are handed over.
    async fn people(&mut self) {
        let file = self.world.folder.path().join("password.toml");
        std::fs::write(&file, PASSWORD).expect("a file");
        let file = file.display().to_string();
        let add = [
            "operator",
            "add",
            "root",
            "--role",
            "admin",
            "--password-file",
            &file,
        ];
        assert!(
            self.said.hear(&self.world.command(&[], &add)),
            "{}",
            self.said.0
        );
        let login = |name: &str, password: &str, code: Option<&str>| {
            let input = json!({ "name": name, "password": password, "code": code });
            body("operatorLogin", "me { name rights }", &input)
        };
        let page = [self.caller.page()];
        for (name, password) in [
            ("root", "cAnArY that sings wrong"),
            ("cAnArY", PASSWORD),
            (PASSWORD, "cAnArY"),
        ] {
            let told = self.caller.send(&page, login(name, password, None)).await;
            assert_eq!(
                told.payload()["userErrors"][0]["code"],
                "LOGIN_REFUSED",
                "{told:?}"
            );
        }
        let told = self.caller.send(&page, login("root", PASSWORD, None)).await;
        let mut session = self.session(&told);
        let begin = "mutation { operatorTotpBegin { secret address userErrors { code } } }";
        let begin = json!({ "query": begin }).to_string();
        let told = self.caller.send_in_confidence(&session, begin).await;
        let base32 = told.payload()["secret"]
            .as_str()
            .unwrap_or_else(|| panic!("{told:?}"));
        self.secrets.text("the secret of codes", base32);
        let raw = totp_rs::Secret::Encoded(base32.to_owned())
            .to_bytes()
            .expect("base32");
        self.secrets.bytes("the secret of codes", &raw);
        let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 1, 30, raw).expect("codes");
        let confirm =
            |code: &str| body("operatorTotpConfirm", "confirmed", &json!({ "code": code }));
        self.caller.send(&session, confirm("cAnArY")).await;
        let code = totp.generate_current().expect("a clock");
        let told = self.caller.send(&session, confirm(&code)).await;
        assert_eq!(told.payload()["confirmed"], true, "{told:?}");
        // A code counts once, so this one is refused now.
        for code in [code.as_str(), "cAnArY"] {
            let told = self
                .caller
                .send(&page, login("root", PASSWORD, Some(code)))
                .await;
            assert_eq!(
                told.payload()["userErrors"][0]["code"],
                "LOGIN_REFUSED",
                "{told:?}"
            );
        }
        let add = json!({ "name": "lee", "displayName": "Lee", "role": "VIEWER" });
        let add = body("operatorAdd", "temporaryPassword", &add);
        let told = self.caller.send_in_confidence(&session, add).await;
        let temporary = told.payload()["temporaryPassword"].as_str();
        let temporary = temporary.unwrap_or_else(|| panic!("{told:?}")).to_owned();
        self.secrets.text("a temporary password", &temporary);
        let told = self
            .caller
            .send(&page, login("lee", &temporary, None))
            .await;
        session = self.session(&told);
        for new in ["cAnArY", NEXT_PASSWORD] {
            let change = json!({ "password": temporary, "newPassword": new });
            let change = body("operatorChangePassword", "me { name }", &change);
            let told = self.caller.send(&session, change).await;
            if told.cookie.is_some() {
                session = self.session(&told);
            }
        }
        let out = json!({ "query": "mutation { operatorLogout { loggedOut } }" }).to_string();
        let told = self.caller.send(&session, out).await;
        assert_eq!(told.payload()["loggedOut"], true, "{told:?}");
    }

    /// The headers of a session, whose secret is one more to look for.
    fn session(&mut self, told: &Told) -> Vec<(&'static str, String)> {
        let cookie = told.cookie.clone().unwrap_or_else(|| panic!("{told:?}"));
        let (_, secret) = cookie.split_once('=').expect("a cookie");
        self.secrets.text("the secret of a session", secret);
        vec![self.caller.page(), ("cookie", cookie)]
    }

    /// Whoever has nothing right: tokens, cookies, paths, types.
    async fn strangers(&self) {
        let text = || json!({ "query": "{ me { name } }" }).to_string();
        for headers in [
            [("authorization", "Bearer cAnArY-token".to_owned())],
            [("authorization", "Basic cAnArY".to_owned())],
            [("cookie", "payhall_session=cAnArY".to_owned())],
            [("content-type", "text/cAnArY".to_owned())],
            [("signature", "sig1=:cAnArY:".to_owned())],
            [("x-request-id", "cAnArY cAnArY".to_owned())],
        ] {
            self.caller.send(&headers, text()).await;
        }
        for path in [
            "/cAnArY",
            "/graphql?query=cAnArY",
            "/graphql?token=cAnArY",
            "/metrics",
            "/healthz",
            "/readyz",
            "/.well-known/payhall-keys",
        ] {
            self.caller.get(path).await;
        }
    }

    /// Commands with settings that hold secrets, right ones and wrong ones.
    fn commands(&mut self) {
        for look in [
            &["config", "check"][..],
            &["config", "show"],
            &["operator", "list"],
            &["jobs", "history"],
            &["jobs", "list"],
        ] {
            let output = self.world.command(&[], look);
            assert!(self.said.hear(&output), "{look:?}: {output:?}");
        }
        // What the check finds wrong ends `serve` as well; with what only the far side can find wrong
        // a center would serve.
        for (setting, value, is_found) in [
            ("storage.url", "postgres://bob:cAnArY@127.0.0.1:1/x", false),
            ("storage.url", "postgres//bob:cAnArY@127.0.0.1/x", true),
            ("cache.url", "redis://:cAnArY@127.0.0.1:1/0", false),
            ("cache.url", "cAnArY", true),
            ("alarms.webhook_url", "http//cAnArY", true),
            ("keys.master", "cAnArY", true),
            ("keys.former_master", "cAnArY", true),
            (
                "adapters.bank.url",
                "http://bob:cAnArY@127.0.0.1:1/bank",
                true,
            ),
        ] {
            let mut told = vec![&["config", "check"][..], &["config", "show"], &["migrate"]];
            told.extend(is_found.then_some(&["serve"][..]));
            for command in told {
                self.said
                    .hear(&self.world.command(&[(setting, value)], command));
            }
        }
    }

    /// A new master key, taken into use while the center works; a case with its alarm meanwhile.
    async fn another_master(&mut self, daemon: &Daemon, doubtful: &str) {
        self.world.set("keys.former_master", MASTER);
        self.world.set("keys.master", NEXT_MASTER);
        let output = self.world.command(&[], &["keys", "rewrap"]);
        assert!(self.said.hear(&output), "{output:?}");
        let checker = daemon.caller(CHECKER);
        wait_for("the case", PATIENCE, async || {
            let cases = checker.cases(doubtful).await.ok()?;
            (!cases.is_empty()).then_some(())
        })
        .await;
        let sim = &self.world.sim;
        wait_for("the alarm", PATIENCE, async || {
            let alarms = sim.alarms(doubtful).await;
            (!alarms.is_empty()).then_some(())
        })
        .await;
        self.caller.get("/metrics").await;
    }

    /// Everything that came out.
    async fn search(self, mut daemon: Daemon) {
        daemon.terminate().await;
        let kind = self.world.database.kind;
        let log = daemon.process.log();
        assert!(
            log.contains("\"DEBUG\""),
            "{kind}: the log is at its loudest"
        );
        let dump = self.world.database.dump();
        let is_there = |text: &str| dump.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(
            is_there("argon2id") && is_there("HANDED_OUT"),
            "{kind}: it is a dump"
        );
        let heard = self.caller.heard();
        assert!(heard.contains("payhall_"), "{kind}: metrics were read");
        let mut found = Vec::new();
        for (place, content) in [
            ("the database", dump),
            ("an answer", heard.into_bytes()),
            ("what a command said", self.said.0.into_bytes()),
        ] {
            found.extend(self.secrets.found_in(place, &content));
        }
        // Every file in the center's folder, logs and ledger too, but for the settings that we wrote.
        let mut paths = vec![self.world.folder.path().to_owned()];
        let mut count = 0;
        while let Some(path) = paths.pop() {
            if path.is_dir() {
                let inside = std::fs::read_dir(&path).expect("a folder");
                paths.extend(inside.map(|entry| entry.expect("an entry").path()));
            } else if path.extension().is_none_or(|end| end != "toml") {
                let content = std::fs::read(&path).expect("a file");
                let place = path.display().to_string();
                found.extend(self.secrets.found_in(&place, &content));
                count += 1;
            }
        }
        assert!(count >= 3, "{count} files: two logs and a ledger");
        assert!(found.is_empty(), "{kind}:\n{}", found.join("\n"));
    }
}
