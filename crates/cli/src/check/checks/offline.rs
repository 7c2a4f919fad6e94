//! Checks that the model runs without the network.

use crate::check::checks::command_line::call;
use crate::check::session::{AppliesTo, Check, Session};
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "offline",
    title: "running it without a network",
    applies_to: AppliesTo::Any,
    run: check,
};

fn check(session: &mut Session) -> Verdict {
    if !session.has_command_line {
        return Verdict::Skipped("its command line gives no result to compare".to_owned());
    }
    if !session.subject.can_be_offline() {
        let reason = "this machine cannot run a program without the network (unshare --net)";
        return Verdict::Skipped(reason.to_owned());
    }
    let offline = match call(session, true) {
        Ok(offline) => offline,
        Err(error) => return Fault::new(error, "").into(),
    };
    if offline.is_answered {
        return Verdict::Passed("it gives its result without a network".to_owned());
    }
    let way_out = "put the model's weights into the image, and load them from there instead of downloading them";
    Verdict::Doubtful(
        Fault::new(format!("without a network it {}", offline.end), way_out)
            .with_output(offline.running.last_lines()),
    )
}
