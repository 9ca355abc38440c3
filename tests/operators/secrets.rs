//! Passwords, secrets of codes and secrets of sessions are found in no table, no log line and no
//! error.

use super::*;
use std::io::Write;
use std::sync::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

fn holds(text: &[u8], secret: &[u8]) -> bool {
    text.windows(secret.len()).any(|part| part == secret)
}

#[tokio::test]
async fn no_secret_is_found_anywhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    for center in Center::all() {
        center.add("ann", Role::Admin).await;
        let mut secrets = vec![PASSWORD.to_owned()];
        let mut told = Vec::new();
        let logged_in = center.login("ann").await;
        secrets.push(logged_in.secret.expose_secret().to_owned());
        let base32 = center.set_up_codes(&logged_in).await;
        for place in 1..=5 {
            let bad = format!("cAnArY {place} of many");
            told.push(refused(center.try_login("ann", shown(&bad)).await).to_string());
            // In the wrong field of the form.
            told.push(refused(center.try_login(&bad, shown(&bad)).await).to_string());
            secrets.push(bad);
        }
        let visit = center.resume(&logged_in).await.unwrap();
        let weak = SecretString::from("password-cAnArY-11".repeat(20));
        let change = center
            .operators
            .change_password(&visit, &shown(PASSWORD), &weak, &visit.actor("r"))
            .await;
        told.push(refused(change).to_string());
        secrets.push(weak.expose_secret().to_owned());
        let root = Actor::system();
        let reset = center.operators.reset_password(&name("ann"), &root).await;
        secrets.push(reset.unwrap().password.expose_secret().to_owned());
        told.push(format!("{visit:?} {logged_in:?}"));

        let again = center
            .operators
            .reset_with_password(&name("ann"), &SecretString::from(PASSWORD), &root)
            .await;
        again.unwrap();
        let logged_in = center.login("ann").await;
        let second = center.set_up_codes(&logged_in).await;
        let raw = |base32: &str| {
            let secret = totp_rs::Secret::Encoded(base32.to_owned());
            secret.to_bytes().unwrap()
        };
        let database = center.database.dump();
        assert!(
            holds(&database, b"argon2id"),
            "{}: it is a dump",
            center.kind()
        );
        let log = log.0.lock().unwrap().clone();
        assert!(holds(&log, b"an account is locked"), "it is a log");
        let told = told.join("\n").into_bytes();
        for place in [&database, &log, &told] {
            for secret in secrets.iter().chain([&base32, &second]) {
                assert!(
                    !holds(place, secret.as_bytes()),
                    "{}: {secret}",
                    center.kind()
                );
            }
            for raw in [raw(&base32), raw(&second)] {
                let hex = payhall::domain::audit::hex(&raw);
                assert!(!holds(place, &raw) && !holds(place, hex.as_bytes()));
            }
        }
    }
}
