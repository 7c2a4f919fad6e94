//! Checks that an image serves HTTP if it is started with the one argument `serve`, as some hosting
//! platforms start it.

use crate::check::checks::start::wait_until_ready;
use crate::check::http;
use crate::check::session::{AppliesTo, Check, Session};
use crate::check::subject::Start;
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "serve",
    title: "starting it with the argument `serve`",
    applies_to: AppliesTo::Images,
    run: check,
};

fn check(session: &mut Session) -> Verdict {
    let Some(port) = http::free_port() else {
        return Verdict::Skipped("this machine has no free port".to_owned());
    };
    let variables = vec![("PORT", port.to_string())];
    let start = Start { arguments: vec!["serve".into()], variables, ..Start::default() };
    let ready = session
        .start_without_mode(start)
        .map_err(|error| Fault::new(error, ""))
        .and_then(|mut running| wait_until_ready(&mut running, port, session.limit));
    match ready {
        Ok(()) => Verdict::Passed("the argument `serve` starts the server".to_owned()),
        Err(Fault { cause, way_out, output }) => {
            let cause = format!("with the argument `serve`: {cause}");
            Fault::new(cause, way_out).with_output(output).into()
        }
    }
}
