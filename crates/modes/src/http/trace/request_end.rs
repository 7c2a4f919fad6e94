//! The data of a finished request that is sent to a collector.

/// The status, code, id and sizes of a request that has ended.
#[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "there is no collector"))]
pub(crate) struct RequestEnd<'a> {
    pub(crate) status: u16,
    pub(crate) code: Option<&'static str>,
    pub(crate) id: &'a str,
    pub(crate) read: u64,
    pub(crate) written: u64,
}
