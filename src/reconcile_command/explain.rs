//! `payhall reconcile explain`: why one flow has its class.

use crate::config::Config;
use crate::daemon::Bare;
use crate::engine::Explained;
use anyhow::Context;
use clap::Args;
use std::fmt;

/// Which flow.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The number, as it stands in the files.
    #[arg(value_name = "FLOW_NO")]
    flow_no: String,
}

/// The answer, for people.
#[derive(Debug)]
pub struct Explanation(Explained);

/// Explains.
///
/// # Errors
/// No side knows the number, or something failed.
pub async fn explain(config: &Config, args: &ExplainArgs) -> anyhow::Result<Explanation> {
    let desk = Bare::for_command(config).await?;
    let explained = desk.engine.reconciliation_explain(&args.flow_no).await;
    desk.stop().await;
    let what = || {
        format!(
            "no day that is closed has flow {}: neither we nor any file that counts names it",
            args.flow_no
        )
    };
    Ok(Explanation(explained?.with_context(what)?))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = &self.0;
        let verdict = &of.verdict;
        write!(
            f,
            "{}: {} by {}, at risk {}",
            of.flow_no, verdict.class, verdict.rule, verdict.at_risk
        )?;
        match (&of.ours, &of.our_row) {
            (Some(flow), Some(row)) => write!(
                f,
                "\n  ours: {} {} {} of order {}, bill {}",
                flow.kind, row.state, row.amount, flow.order_no, flow.bill_no
            )?,
            _ => f.write_str("\n  ours: nothing")?,
        }
        for heard in &of.heard {
            write!(
                f,
                "\n  {}: {} {} in {} line {}",
                heard.file.side, heard.row.state, heard.row.amount, heard.file.path, heard.row.line
            )?;
            if !heard.bill_no.is_empty() {
                write!(f, ", bill {}", heard.bill_no)?;
            }
        }
        for run in &of.runs {
            write!(
                f,
                "\n  looked at on {}, version {}",
                run.business_date, run.version
            )?;
        }
        for one in &of.found {
            write!(f, "\n  found {}", one.sentence())?;
            if let Some(ended) = &one.ended {
                write!(f, "; since {}: {} by {}", ended.on, ended.class, ended.rule)?;
            }
        }
        for case in &of.cases {
            write!(f, "\n  case {} {}", case.case_no, case.state)?;
        }
        Ok(())
    }
}
