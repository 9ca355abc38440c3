//! What a signed ID token has to say before its word is taken for who somebody is: the rules of OpenID
//! Connect Core 1.0 (3.1.3.7), and what the settings demand beyond them. That the token was signed by
//! the provider was found out before.
//!
//! How someone could break it: by believing a token that was made for another program (audience,
//! authorized party), for another browser (nonce), or long ago (expiry, time of the proof).

use super::ids::OperatorName;
use super::named_enum;
use super::time::Instant;

/// How far the provider's clock may be from ours, in seconds.
pub const SKEW_S: i64 = 60;

/// What a token says, as far as anybody asks here. Times are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdToken {
    /// Who says it (`iss`).
    pub issuer: String,
    /// For whom (`aud`).
    pub audience: Vec<String>,
    /// Which of them asked for it (`azp`).
    pub authorized_party: Option<String>,
    /// Until when it counts (`exp`).
    pub expires_s: i64,
    /// When it was made (`iat`).
    pub issued_s: i64,
    /// Which request it answers (`nonce`).
    pub nonce: Option<String>,
    /// When the person proved who they are (`auth_time`).
    pub proved_s: Option<i64>,
    /// How well (`acr`).
    pub class: Option<String>,
    /// By what means (`amr`).
    pub methods: Vec<String>,
    /// Who it is: the claim that the settings name.
    pub name: Option<String>,
    /// Whether the provider has seen that the person owns the address (`email_verified`).
    pub email_is_verified: bool,
}

/// What a token has to say, whoever it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTokenRules {
    /// The provider.
    pub issuer: String,
    /// This program, as the provider knows it.
    pub client_id: String,
    /// The claim that holds the name; `email` counts only where it is verified.
    pub claim: String,
    /// What has to stand behind an `@` in the claim, and is no part of the name; empty: the claim is the
    /// name.
    pub domain: String,
    /// One of these has to be the class; none: any will do.
    pub classes: Vec<String>,
    /// All of these have to be among the means.
    pub methods: Vec<String>,
}

named_enum! {
    /// Why a token that is properly signed is not believed, in the order in which it is looked at.
    pub enum NotBelieved {
        /// Another provider made it.
        Issuer = "TOKEN_ISSUER",
        /// It is for another program.
        Audience = "TOKEN_AUDIENCE",
        /// Another program asked for it.
        AuthorizedParty = "TOKEN_AUTHORIZED_PARTY",
        /// Its time is over.
        Expired = "TOKEN_EXPIRED",
        /// It was made in the future.
        Ahead = "TOKEN_AHEAD",
        /// It answers another request.
        Nonce = "TOKEN_NONCE",
        /// It does not say when the person proved who they are.
        ProofTime = "TOKEN_AUTH_TIME_MISSING",
        /// The person proved it too long ago, or in the future.
        ProofOld = "TOKEN_AUTH_TIME",
        /// The proof was of another class than demanded.
        Class = "TOKEN_ACR",
        /// The proof was by other means than demanded.
        Methods = "TOKEN_AMR",
        /// The claim with the name is missing, or its address is not of our domain.
        Name = "TOKEN_NAME",
        /// The address was not verified.
        EmailNotVerified = "TOKEN_EMAIL_NOT_VERIFIED",
    }
}

/// What one answer has to say.
#[derive(Clone, Copy, Debug)]
pub struct Awaited<'a> {
    /// The nonce that went out with the question.
    pub nonce: &'a str,
    /// The person has to have proved who they are after this.
    pub proved_after: Instant,
    /// Now.
    pub now: Instant,
}

/// Who somebody is, and since when that is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The name, as an operator's. None: it cannot be one.
    pub name: Option<OperatorName>,
    /// When it was proved; never in the future.
    pub at: Instant,
}

impl IdTokenRules {
    /// Holds a token to the rules.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn judge(&self, token: &IdToken, awaited: Awaited<'_>) -> Result<Proven, NotBelieved> {
        let now_s = awaited.now.timestamp();
        if token.issuer != self.issuer {
            return Err(NotBelieved::Issuer);
        }
        if !token.audience.contains(&self.client_id) {
            return Err(NotBelieved::Audience);
        }
        // Of several audiences the one that asked has to be named, and if one is named it has to be us.
        match &token.authorized_party {
            Some(party) if *party == self.client_id => {}
            None if token.audience.len() == 1 => {}
            _ => return Err(NotBelieved::AuthorizedParty),
        }
        if now_s.saturating_sub(SKEW_S) >= token.expires_s {
            return Err(NotBelieved::Expired);
        }
        if token.issued_s > now_s.saturating_add(SKEW_S) {
            return Err(NotBelieved::Ahead);
        }
        if token.nonce.as_deref() != Some(awaited.nonce) {
            return Err(NotBelieved::Nonce);
        }
        let proved_s = token.proved_s.ok_or(NotBelieved::ProofTime)?;
        let earliest = awaited.proved_after.timestamp().saturating_sub(SKEW_S);
        if proved_s < earliest || proved_s > now_s.saturating_add(SKEW_S) {
            return Err(NotBelieved::ProofOld);
        }
        self.check_strength(token)?;
        let at = Instant::from_timestamp(proved_s, 0).ok_or(NotBelieved::ProofOld)?;
        Ok(Proven {
            name: self.name(token)?,
            at: at.min(awaited.now),
        })
    }

    fn check_strength(&self, token: &IdToken) -> Result<(), NotBelieved> {
        let is_of_class = |class: &String| self.classes.contains(class);
        if !self.classes.is_empty() && !token.class.as_ref().is_some_and(is_of_class) {
            return Err(NotBelieved::Class);
        }
        if !self
            .methods
            .iter()
            .all(|method| token.methods.contains(method))
        {
            return Err(NotBelieved::Methods);
        }
        Ok(())
    }

    fn name(&self, token: &IdToken) -> Result<Option<OperatorName>, NotBelieved> {
        let claimed = token.name.as_deref().ok_or(NotBelieved::Name)?;
        if self.claim == "email" && !token.email_is_verified {
            return Err(NotBelieved::EmailNotVerified);
        }
        let name = match self.domain.as_str() {
            "" => claimed,
            domain => match claimed.rsplit_once('@') {
                Some((name, found)) if found.eq_ignore_ascii_case(domain) => name,
                _ => return Err(NotBelieved::Name),
            },
        };
        Ok(OperatorName::try_new(name).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NotBelieved::{
        Ahead, Audience, AuthorizedParty, Class, EmailNotVerified, Expired, Issuer, Methods, Name,
        Nonce, ProofOld, ProofTime,
    };

    const NOW_S: i64 = 1_790_000_000;

    fn at(seconds: i64) -> Instant {
        Instant::from_timestamp(NOW_S + seconds, 0).unwrap()
    }

    fn rules() -> IdTokenRules {
        IdTokenRules {
            issuer: "https://id.bank.example".to_owned(),
            client_id: "payhall".to_owned(),
            claim: "preferred_username".to_owned(),
            domain: String::new(),
            classes: Vec::new(),
            methods: Vec::new(),
        }
    }

    fn token() -> IdToken {
        IdToken {
            issuer: "https://id.bank.example".to_owned(),
            audience: vec!["payhall".to_owned()],
            expires_s: NOW_S + 300,
            issued_s: NOW_S,
            nonce: Some("n".to_owned()),
            proved_s: Some(NOW_S - 10),
            name: Some("ann".to_owned()),
            ..IdToken::default()
        }
    }

    fn judge(rules: &IdTokenRules, token: &IdToken) -> Result<Proven, NotBelieved> {
        let awaited = Awaited {
            nonce: "n",
            proved_after: at(-300),
            now: at(0),
        };
        rules.judge(token, awaited)
    }

    #[test]
    fn a_right_token_says_who_and_since_when() {
        let proven = judge(&rules(), &token()).unwrap();
        assert_eq!(proven.name, OperatorName::try_new("ann").ok());
        assert_eq!(proven.at, at(-10));
    }

    #[test]
    fn each_rule_is_looked_at() {
        type Change = fn(&mut IdToken);
        let wrong: &[(NotBelieved, Change)] = &[
            (Issuer, |t| t.issuer.push('/')),
            (Issuer, |t| {
                t.issuer = "https://id.bank.example.evil".to_owned()
            }),
            (Audience, |t| t.audience = vec!["other".to_owned()]),
            (Audience, |t| t.audience.clear()),
            (AuthorizedParty, |t| t.audience.push("other".to_owned())),
            (AuthorizedParty, |t| {
                t.authorized_party = Some("other".to_owned());
            }),
            (Expired, |t| t.expires_s = NOW_S - SKEW_S),
            (Expired, |t| t.expires_s = i64::MIN),
            (Ahead, |t| t.issued_s = NOW_S + SKEW_S + 1),
            (Nonce, |t| t.nonce = None),
            (Nonce, |t| t.nonce = Some(String::new())),
            (ProofTime, |t| t.proved_s = None),
            (ProofOld, |t| t.proved_s = Some(NOW_S - 300 - SKEW_S - 1)),
            (ProofOld, |t| t.proved_s = Some(NOW_S + SKEW_S + 1)),
            (ProofOld, |t| t.proved_s = Some(i64::MAX)),
            (Name, |t| t.name = None),
        ];
        for (why, change) in wrong {
            let mut token = token();
            change(&mut token);
            assert_eq!(judge(&rules(), &token), Err(*why), "{token:?}");
        }
        let fine: &[Change] = &[
            |t| t.expires_s = NOW_S - SKEW_S + 1,
            |t| t.issued_s = NOW_S + SKEW_S,
            |t| t.proved_s = Some(NOW_S - 300 - SKEW_S),
            |t| t.authorized_party = Some("payhall".to_owned()),
            |t| {
                t.audience.push("other".to_owned());
                t.authorized_party = Some("payhall".to_owned());
            },
        ];
        for change in fine {
            let mut token = token();
            change(&mut token);
            assert!(judge(&rules(), &token).is_ok(), "{token:?}");
        }
    }

    #[test]
    fn a_proof_is_never_in_the_future() {
        let mut token = token();
        token.proved_s = Some(NOW_S + SKEW_S);
        assert_eq!(judge(&rules(), &token).unwrap().at, at(0));
    }

    #[test]
    fn the_settings_may_demand_a_class_and_means() {
        let rules = IdTokenRules {
            classes: vec!["gold".to_owned(), "silver".to_owned()],
            methods: vec!["pwd".to_owned(), "otp".to_owned()],
            ..rules()
        };
        let mut token = token();
        assert_eq!(judge(&rules, &token), Err(Class));
        token.class = Some("bronze".to_owned());
        assert_eq!(judge(&rules, &token), Err(Class));
        token.class = Some("silver".to_owned());
        token.methods = vec!["pwd".to_owned()];
        assert_eq!(judge(&rules, &token), Err(Methods));
        token.methods = vec!["otp".to_owned(), "pwd".to_owned(), "geo".to_owned()];
        assert!(judge(&rules, &token).is_ok());
    }

    #[test]
    fn an_address_counts_if_it_is_ours_and_verified() {
        let rules = IdTokenRules {
            claim: "email".to_owned(),
            domain: "bank.example".to_owned(),
            ..rules()
        };
        let mut token = token();
        token.name = Some("ann@bank.example".to_owned());
        assert_eq!(judge(&rules, &token), Err(EmailNotVerified));
        token.email_is_verified = true;
        let ann = OperatorName::try_new("ann").ok();
        assert_eq!(judge(&rules, &token).unwrap().name, ann);
        for other in [
            "ann",
            "ann@evil.example",
            "ann@bank.example.evil",
            "ann@bank.example@evil.example",
            "ann@xbank.example",
        ] {
            token.name = Some(other.to_owned());
            assert_eq!(judge(&rules, &token), Err(Name), "{other}");
        }
        // What cannot be an operator's name is nobody's.
        token.name = Some("ann@x@bank.example".to_owned());
        assert_eq!(judge(&rules, &token).unwrap().name, None);
    }
}
