//! The words of a reconciliation: classes, sides, and the rules that decide.

use crate::domain::named_enum;

named_enum! {
    /// What became of a flow number when the sides were compared. Every number on any side has exactly
    /// one class.
    pub enum Class {
        /// The sides agree.
        Matched = "MATCHED",
        /// 长款: money moved, and our record does not have it.
        Long = "LONG",
        /// 短款: our record says that money moved, and a side that has to list it does not.
        Short = "SHORT",
        /// All say that money moved, and not how much, or not in the same currency.
        Amount = "AMOUNT",
        /// The sides list it and say different things about it, or nobody says anything final in time.
        Status = "STATUS",
        /// One side lists it more than once.
        Duplicate = "DUPLICATE",
        /// Not due yet: it waits in the pool of its partner's business days, then is LONG, SHORT or STATUS.
        Expected = "EXPECTED",
    }
}

named_enum! {
    /// Whose list a row is from.
    pub enum Side {
        /// Our flows.
        Ours = "OURS",
        /// The flow file of the bank's payment system.
        Bank = "BANK",
        /// The biller's file.
        Biller = "BILLER",
    }
}

named_enum! {
    /// The rule that decided a class. `judge.rs` has them in one table, in their order of precedence.
    pub enum Rule {
        /// DUPLICATE: a side lists the number more than once, be it with the same amount or with another.
        ListedTwice = "LISTED_TWICE",
        /// MATCHED: whoever lists it says that no money moved; who does not list it does not object.
        NobodyPaid = "NOBODY_PAID",
        /// LONG: the bank lists it, and we do not have it.
        NotOurs = "NOT_OURS",
        /// LONG: only the biller lists it.
        BillerAlone = "BILLER_ALONE",
        /// STATUS: a payment on one side is a reversal on another.
        KindDiffers = "KIND_DIFFERS",
        /// STATUS: a bank lists it that the flow did not go to.
        OtherBank = "OTHER_BANK",
        /// STATUS: we say that money moved, the bank says that it did not.
        BankSaysNo = "BANK_SAYS_NO",
        /// STATUS: we say that no money moved, the bank says that it did.
        BankSaysYes = "BANK_SAYS_YES",
        /// STATUS: we know the outcome, the bank is still at it.
        BankUndecided = "BANK_UNDECIDED",
        /// STATUS: we say that money moved, the biller says that it did not.
        BillerSaysNo = "BILLER_SAYS_NO",
        /// STATUS: we say that no money moved, the biller says that it did.
        BillerSaysYes = "BILLER_SAYS_YES",
        /// STATUS: we know the outcome, the biller is still at it.
        BillerUndecided = "BILLER_UNDECIDED",
        /// STATUS: we and a partner say that money moved, and the partner's line names another bill: somebody
        /// else's was paid.
        OtherBill = "OTHER_BILL",
        /// AMOUNT: two sides name different currencies.
        CurrencyDiffers = "CURRENCY_DIFFERS",
        /// AMOUNT: the amounts differ by more than is tolerated.
        AmountDiffers = "AMOUNT_DIFFERS",
        /// EXPECTED, then STATUS: we do not know the outcome, and the bank does not say it.
        Undecided = "UNDECIDED",
        /// EXPECTED: a side is missing, and the flow lies so near to the day's edge that it may stand in
        /// the neighbour day's file.
        NearCutOff = "NEAR_CUT_OFF",
        /// SHORT: we say that money moved, the bank does not list it.
        BankMissing = "BANK_MISSING",
        /// SHORT: we and the bank say that money moved, the biller does not list it.
        BillerMissing = "BILLER_MISSING",
        /// MATCHED: the amounts differ by no more than is tolerated.
        WithinTolerance = "WITHIN_TOLERANCE",
        /// MATCHED: everybody who has to list it does, with the same amount. Where we were undecided, the
        /// bank's line is the proof that settles it.
        AllAgree = "ALL_AGREE",
    }
}
