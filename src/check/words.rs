//! Words that come a million times are kept once: billers' names, and what the far side answered.

/// Which biller, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BillerWord(u16);

/// The billers' names.
#[derive(Debug, Default)]
pub(super) struct Billers(Vec<Box<str>>);

impl Billers {
    /// The place of a name, which is added where it is new. There are far fewer billers than
    /// places; beyond them all are one, which then differs from every order.
    pub fn word(&mut self, name: &str) -> BillerWord {
        let known = self.0.iter().position(|known| **known == *name);
        let place = known.unwrap_or_else(|| {
            if self.0.len() < usize::from(u16::MAX) {
                self.0.push(name.into());
                self.0.len() - 1
            } else {
                self.0.len()
            }
        });
        BillerWord(u16::try_from(place).unwrap_or(u16::MAX))
    }

    /// The name in a place.
    pub fn name(&self, word: BillerWord) -> &str {
        let name = self.0.get(usize::from(word.0));
        name.map_or("one of too many billers", |name| name)
    }
}

/// What the far side answered: each different answer is one bit of a set.
///
/// An answer such as `RAW` or `DRIP` does not say what arrived at the caller. It has a bit of its
/// own, and whoever finds it in a set cannot judge.
#[derive(Debug, Default)]
pub(super) struct Answers(Vec<Box<str>>);

impl Answers {
    /// The empty set.
    pub const NONE: u64 = 0;
    const OPAQUE: u64 = 1 << 63;
    const MOST: usize = 63;

    /// The set of one answer.
    pub fn set_of(&mut self, answer: &str) -> u64 {
        let code = answer.split(' ').next().unwrap_or(answer);
        if code.parse::<i64>().is_err() {
            return Self::OPAQUE;
        }
        let known = self.0.iter().position(|known| **known == *answer);
        let place = known.unwrap_or_else(|| {
            if self.0.len() < Self::MOST {
                self.0.push(answer.into());
            }
            self.0.len() - 1
        });
        match self.0.get(place) {
            Some(there) if **there == *answer => 1 << place,
            _ => Self::OPAQUE,
        }
    }

    /// Whether an answer with this code may be in a set.
    pub fn may_hold(&self, set: u64, code: &str) -> bool {
        set & Self::OPAQUE != 0 || self.list(set).any(|answer| answer == code)
    }

    /// The answers of a set, for people.
    pub fn words(&self, set: u64) -> String {
        let list: Vec<&str> = self.list(set).collect();
        if list.is_empty() {
            "nothing".to_owned()
        } else {
            list.join(", ")
        }
    }

    fn list(&self, set: u64) -> impl Iterator<Item = &str> {
        let is_in = move |place: usize| set & (1 << place) != 0;
        let places = self.0.iter().enumerate();
        places
            .filter(move |(place, _)| is_in(*place))
            .map(|(_, answer)| &**answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let mut answers = Answers::default();
        let set = answers.set_of("-1") | answers.set_of("1 WRONG_AMOUNT");
        assert!(answers.may_hold(set, "-1"));
        assert!(!answers.may_hold(set, "1"), "a wrong amount is no success");
        assert!(!answers.may_hold(Answers::NONE, "-1"));
        assert_eq!(answers.words(set), "-1, 1 WRONG_AMOUNT");
        let set = set | answers.set_of("1");
        assert!(answers.may_hold(set, "1"));
    }

    #[test]
    fn what_nobody_can_know_is_not_judged() {
        let mut answers = Answers::default();
        for answer in ["RAW", "DRIP", "HTTP 502", "CUT"] {
            let set = answers.set_of(answer);
            assert!(answers.may_hold(set, "1"), "{answer}");
        }
        for number in 0..70 {
            answers.set_of(&number.to_string());
        }
        let set = answers.set_of("999");
        assert!(answers.may_hold(set, "5"), "more answers than bits");
        assert_eq!(
            answers.set_of("3"),
            1 << 3,
            "the first ones keep their bits"
        );
    }

    #[test]
    fn billers_keep_their_names() {
        let mut billers = Billers::default();
        let (power, gas) = (billers.word("bj-power"), billers.word("sh-gas"));
        assert_eq!(billers.word("bj-power"), power);
        assert_eq!(
            (billers.name(power), billers.name(gas)),
            ("bj-power", "sh-gas")
        );
    }
}
