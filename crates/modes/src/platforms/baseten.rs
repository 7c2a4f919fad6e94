//! A custom server on Baseten. The platform sets no variable that shows it, and port 8080 is its own, which
//! it sets in `PORT`.

use crate::platform::{Profile, Source};

pub(super) const BASETEN: Profile = Profile {
    name: "baseten",
    title: "Baseten",
    port: Some(Source::Fixed("5000")),
    overrides_port: true,
    predict: "the predict_endpoint of the Truss, such as POST /infer",
    page: "baseten.md",
    ..Profile::PLAIN
};
