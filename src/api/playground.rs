//! The playground: one page of our own, with nothing from any other host, because a bank has no CDN.
//! Its examples are files that a test runs against the schema.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poem::Response;
use poem::http::header;
use serde::Serialize;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("playground.html");

/// Where the page takes its examples from.
const EXAMPLES_MARK: &str = "__EXAMPLES__";

/// An operation that the page offers.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Example {
    /// The name of its files.
    pub name: &'static str,
    /// What it does, in Chinese.
    pub zh: &'static str,
    /// What it does, in English.
    pub en: &'static str,
    /// The document.
    pub document: &'static str,
    /// Its variables, as JSON.
    pub variables: &'static str,
}

macro_rules! examples {
    ($($name:literal, $zh:literal, $en:literal;)+) => {
        /// The operations that the page offers, in the sequence of a payment.
        pub(super) const EXAMPLES: &[Example] = &[$(Example {
            name: $name,
            zh: $zh,
            en: $en,
            document: include_str!(concat!("examples/", $name, ".graphql")),
            variables: include_str!(concat!("examples/", $name, ".json")),
        },)+];
    };
}

examples! {
    "payable_items", "当地可缴项目", "What can be paid here";
    "payable_items_at", "按经纬度查可缴项目", "What can be paid at a place";
    "bill", "查询账单", "Look a bill up";
    "order_create", "创建订单", "Make an order";
    "order_confirm", "确认支付", "Confirm and pay";
    "order", "查询订单", "One order";
    "order_by_request", "按请求号查订单", "An order by its request number";
    "order_timeline", "订单时间线", "Why it is where it is";
    "order_changed", "订阅订单变化", "Watch an order";
    "order_cancel", "取消订单", "Cancel an order";
    "orders", "订单列表", "Orders";
    "flow", "查询流水", "One flow";
    "flows", "流水列表", "Flows";
    "exceptions", "异常记录", "Exceptions";
    "cases", "人工处理", "Cases";
    "case", "查询个案", "One case";
    "case_decide", "经办：提出处理意见", "Maker: propose a decision";
    "case_approve", "复核：同意", "Checker: approve";
    "case_reject", "复核：驳回", "Checker: reject";
    "jobs", "定时任务", "Jobs";
    "case_comments", "个案备注", "Comments about a case";
    "case_comment", "添加备注", "Comment on a case";
    "case_hand", "指派负责人", "Who looks after a case";
    "case_batch", "批量处理文件", "A file of decisions";
    "case_batch_propose", "经办：批量处理意见", "Maker: decisions of many cases";
    "case_batch_apply", "复核：批量执行", "Checker: apply them";
    "case_batch_reject", "复核：批量驳回", "Checker: reject them";
    "partner_files", "对账文件", "Partners' files";
    "reconciliations", "对账结果", "Results of reconciling";
    "reconciliation", "某日对账结果", "The result of a day";
    "reconciliation_sums", "对账汇总", "Counts and sums of a day";
    "discrepancies", "对账差异", "What differs";
    "reconciliation_explain", "差异说明", "Why a flow has its class";
    "reconciliation_run", "重新对账", "Reconcile a day once more";
    "job_runs", "任务运行记录", "Job runs";
    "job_run", "查询任务运行", "One run of a job";
    "job_trigger", "手工执行任务", "Run a job now";
    "job_backfill", "补跑任务", "Make up for business dates";
    "job_run_changed", "订阅任务进度", "Watch a run of a job";
    "merchants", "渠道商户", "Merchants";
    "merchant", "查询商户", "One merchant";
    "merchant_register", "经办：商户登记", "Maker: register a merchant";
    "merchant_update", "经办：修改商户资料", "Maker: edit a merchant";
    "merchant_submit", "经办：提交复核", "Maker: submit a merchant";
    "merchant_check", "复核：核验资料", "Checker: tick an item of the checklist";
    "merchant_approve", "复核：商户准入", "Checker: approve a merchant";
    "merchant_reject", "复核：驳回商户", "Checker: reject a merchant";
    "merchant_activate", "商户启用", "Take a merchant into operation";
    "merchant_suspend", "商户暂停", "Suspend a merchant";
    "merchant_resume", "商户恢复", "Resume a merchant";
    "merchant_close", "商户注销", "Close a merchant";
    "notifications", "商户通知", "Notifications to merchants";
    "notification", "查询通知及各次尝试", "One notification and its tries";
    "notification_resend", "重发通知", "Send a notification again";
    "notifications_resend", "批量重发通知", "Send many notifications again";
    "statements", "对账单", "Statements";
    "statement", "查询对账单及下载链接", "One statement with links to its files";
    "statement_reissue", "重出对账单", "Issue a statement once more";
    "settlements", "结算汇总", "What is settled";
    "keys", "密钥", "Keys";
    "key", "查询密钥", "One key";
    "key_issue", "经办：发放密钥", "Maker: issue a key";
    "key_rotate", "经办：轮换密钥", "Maker: rotate a key";
    "key_approve", "复核：密钥生效", "Checker: approve a key";
    "key_reject", "复核：驳回密钥", "Checker: reject a key";
    "key_revoke", "吊销密钥", "Take a key back";
    "key_hand_out", "领取私钥", "Have a private key handed out";
    "billers", "缴费单位", "Billers";
    "item", "缴费项目", "One item";
    "region", "地区", "One region";
    "regions", "地区列表", "Regions";
    "operator_login", "操作员登录", "Log in";
    "me", "我是谁", "Who am I";
    "operator_reauthenticate", "再次验证身份", "Prove again who I am";
    "operator_change_password", "修改本人口令", "Change my password";
    "operator_totp_begin", "启用动态口令：取得密钥", "One-time codes: get a secret";
    "operator_totp_confirm", "启用动态口令：确认", "One-time codes: confirm";
    "operator_logout", "退出登录", "Log out";
    "operators", "操作员列表", "Operators";
    "operator_add", "新增操作员", "Add an operator";
    "operator_set_role", "变更角色", "Change a role";
    "operator_reset_password", "重置口令", "Reset a password";
    "operator_disable", "停用操作员", "Switch an operator off";
    "operator_enable", "启用操作员", "Switch an operator on";
    "server_info", "服务器信息", "About the server";
}

/// The page, ready to be served.
pub(super) struct Page {
    body: String,
    policy: String,
}

impl Page {
    /// Puts the examples in and makes the policy that lets exactly this page's script and style run.
    pub fn new() -> Self {
        let examples = serde_json::to_string(EXAMPLES).unwrap_or_else(|_| "[]".to_owned());
        // Inside a script element nothing may look like its end.
        let body = PAGE.replace(EXAMPLES_MARK, &examples.replace("</", "<\\/"));
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            fingerprint(&body, "<script>", "</script>"),
            fingerprint(&body, "<style>", "</style>"),
        );
        Self { body, policy }
    }

    /// The page as an answer.
    pub fn response(&self) -> Response {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, &self.policy)
            .header(header::REFERRER_POLICY, "no-referrer")
            .header(header::X_FRAME_OPTIONS, "DENY")
            .body(self.body.clone())
    }
}

/// The policy's word for the element between two tags: its hash.
fn fingerprint(page: &str, open: &str, close: &str) -> String {
    let inside = page
        .split_once(open)
        .and_then(|(_, rest)| rest.split_once(close));
    match inside {
        Some((inside, _)) => format!(
            "'sha256-{}'",
            STANDARD.encode(Sha256::digest(inside.as_bytes()))
        ),
        None => "'none'".to_owned(),
    }
}

#[cfg(test)]
#[path = "tests/playground_tests.rs"]
mod tests;
