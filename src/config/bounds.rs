//! How small and how large the numbers among the settings may be.

use super::Config;

/// The longest wait that is no slip of the pen: 366 days.
const YEAR_S: u64 = 366 * 86_400;

/// A path, the value there, the least and the most.
pub(super) type Bound = (&'static str, u64, u64, u64);

impl Config {
    /// Counts and sizes.
    pub(super) fn bounds(&self) -> Vec<Bound> {
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        vec![
            (
                "server.connections_max",
                wide(self.server.connections_max),
                1,
                1_000_000,
            ),
            (
                "api.body_bytes_max",
                wide(self.api.body_bytes_max),
                1_024,
                16 << 20,
            ),
            (
                "server.connections_per_address",
                wide(self.server.connections_per_address),
                0,
                1_000_000,
            ),
            (
                "server.websockets_max",
                wide(self.server.websockets_max),
                0,
                1_000_000,
            ),
            (
                "server.websockets_per_address",
                wide(self.server.websockets_per_address),
                0,
                1_000_000,
            ),
            ("api.depth_max", wide(self.api.depth_max), 3, 100),
            (
                "api.complexity_max",
                wide(self.api.complexity_max),
                10,
                1_000_000,
            ),
            (
                "api.expansion_max",
                wide(self.api.expansion_max),
                10,
                1_000_000,
            ),
            ("polling.batch", u64::from(self.polling.batch), 1, 10_000),
            ("polling.parallel", wide(self.polling.parallel), 1, 4_096),
            ("storage.readers", u64::from(self.storage.readers), 1, 1_000),
            ("storage.writers", u64::from(self.storage.writers), 1, 64),
            ("storage.batch_max", wide(self.storage.batch_max), 1, 10_000),
            (
                "storage.queue_max",
                wide(self.storage.queue_max),
                1,
                10_000_000,
            ),
            (
                "cache.mirror_queue",
                wide(self.cache.mirror_queue),
                0,
                10_000_000,
            ),
        ]
    }

    /// How days are closed and stated.
    pub(super) fn statement_bounds(&self) -> Vec<Bound> {
        let statements = &self.statements;
        vec![
            (
                "statements.close_grace_s",
                statements.close_grace_s,
                0,
                6 * 3_600,
            ),
            (
                "statements.recount_days",
                u64::from(statements.recount_days),
                1,
                366,
            ),
            (
                "statements.xlsx_rows_max",
                statements.xlsx_rows_max,
                0,
                1_000_000,
            ),
            (
                "statements.keep_months",
                u64::from(statements.keep_months),
                1,
                1_200,
            ),
            (
                "statements.link_lasts_s",
                statements.link_lasts_s,
                10,
                86_400,
            ),
        ]
    }

    /// How long records are kept: alarms look back a week, and merchants ask about last month.
    pub(super) fn archive_bounds(&self) -> Vec<Bound> {
        let kept = &self.archive;
        let days = |path, days| (path, days, 31, 36_600);
        vec![
            days("archive.job_runs_days", kept.job_runs_days),
            days("archive.notifications_days", kept.notifications_days),
            days("archive.sessions_days", kept.sessions_days),
        ]
    }

    /// How merchants are notified.
    pub(super) fn notification_bounds(&self) -> Vec<Bound> {
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        vec![
            (
                "notifications.parallel",
                wide(self.notifications.parallel),
                1,
                10_000,
            ),
            (
                "notifications.parallel_per_merchant",
                wide(self.notifications.parallel_per_merchant),
                1,
                10_000,
            ),
            (
                "notifications.jitter_percent",
                u64::from(self.notifications.jitter_percent),
                0,
                50,
            ),
            (
                "notifications.timeout_ms",
                self.notifications.timeout_ms,
                100,
                60_000,
            ),
            (
                "notifications.lease_s",
                self.notifications.lease_s,
                5,
                3_600,
            ),
        ]
    }

    /// Times, in seconds and milliseconds.
    pub(super) fn time_bounds(&self) -> Vec<Bound> {
        vec![
            ("server.drain_s", self.server.drain_s, 1, 600),
            (
                "server.header_timeout_s",
                self.server.header_timeout_s,
                1,
                600,
            ),
            ("server.body_timeout_s", self.server.body_timeout_s, 1, 600),
            (
                "server.write_timeout_s",
                self.server.write_timeout_s,
                1,
                600,
            ),
            ("orders.expiry_s", self.orders.expiry_s, 1, 7 * 86_400),
            (
                "orders.answer_within_ms",
                self.orders.answer_within_ms,
                100,
                60_000,
            ),
            ("orders.orphan_after_s", self.orders.orphan_after_s, 1, 600),
            ("polling.lease_s", self.polling.lease_s, 15, 3_600),
            (
                "storage.pool_timeout_ms",
                self.storage.pool_timeout_ms,
                1,
                60_000,
            ),
            (
                "storage.statement_timeout_ms",
                self.storage.statement_timeout_ms,
                10,
                3_600_000,
            ),
            (
                "storage.lock_timeout_ms",
                self.storage.lock_timeout_ms,
                10,
                3_600_000,
            ),
            ("alarms.warn_s", self.alarms.warn_s, 0, YEAR_S),
            ("alarms.critical_s", self.alarms.critical_s, 0, YEAR_S),
            ("alarms.case_due_s", self.alarms.case_due_s, 1, YEAR_S),
            ("cache.final_ttl_s", self.cache.final_ttl_s, 0, YEAR_S),
            ("cache.bill_ttl_s", self.cache.bill_ttl_s, 0, YEAR_S),
            (
                "cache.command_timeout_ms",
                self.cache.command_timeout_ms,
                0,
                60_000,
            ),
        ]
    }

    /// How often somebody may call. A burst of none would let nobody in.
    pub(super) fn limit_bounds(&self) -> Vec<Bound> {
        let limits = &self.limits;
        let rate = |path, value: u32| (path, u64::from(value), 0, 1_000_000);
        let burst = |path, value: u32| (path, u64::from(value), 1, 1_000_000);
        vec![
            rate("limits.address_per_s", limits.address_per_s),
            burst("limits.address_burst", limits.address_burst),
            rate("limits.merchant_per_s", limits.merchant_per_s),
            burst("limits.merchant_burst", limits.merchant_burst),
            rate("limits.operator_per_s", limits.operator_per_s),
            burst("limits.operator_burst", limits.operator_burst),
            rate("limits.refused_per_min", limits.refused_per_min),
            rate(
                "limits.logins_per_address_per_min",
                limits.logins_per_address_per_min,
            ),
            rate(
                "limits.logins_per_name_per_min",
                limits.logins_per_name_per_min,
            ),
        ]
    }
}
