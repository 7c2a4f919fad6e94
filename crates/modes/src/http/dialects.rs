//! The dialects: each has a file here and a line in the table.

use ai_integration_contract::setting::{List, SettingType};
use ai_integration_contract::{nearest, settings};

use crate::http::dialect::Dialect;

macro_rules! dialects {
    ($($(#[cfg(feature = $feature:literal)])? $module:ident :: $name:ident),+ $(,)?) => {
        $($(#[cfg(feature = $feature)])? pub(crate) mod $module;)+
        /// Every dialect of this build. For an unknown address that could belong to several
        /// dialects, the first one makes the error response.
        pub(crate) const DIALECTS: &[&dyn Dialect] = &[
            $($(#[cfg(feature = $feature)])? &$module::$name),+
        ];
    };
}

dialects! {
    native::Native,
    openai::OpenAi,
    anthropic::Anthropic,
    oip::Oip,
    #[cfg(feature = "grpc")] grpc::Grpc,
    kserve::Kserve,
    huggingface::HuggingFace,
    sagemaker::SageMaker,
    vertex::Vertex,
    azure_ml::AzureMl,
    mcp::Mcp,
    classic::Classic,
}

/// The dialects that the page needs: its scripts and its plain form send requests to them.
const OF_THE_PAGE: [&str; 2] = ["native", "classic"];

settings! {
    /// The choice of dialects.
    pub(crate) struct Settings under "Server" {
        /// Protocols that are served, separated by commas. A protocol that is left out has no
        /// addresses. The page at / needs native and classic, and is left out without them. By
        /// default all, but those of a hosting platform only on their platform.
        dialects: List<DialectName>,
    }
}

impl Settings {
    /// Returns the dialects that are served on this platform, in the order of the table.
    pub(crate) fn served(&self, platform: Option<&str>) -> Vec<&'static dyn Dialect> {
        let is_chosen = |dialect: &&dyn Dialect| {
            if self.dialects.is_empty() {
                dialect.platform().is_none() || dialect.platform() == platform
            } else {
                self.dialects.contains(&dialect.name())
            }
        };
        DIALECTS.iter().copied().filter(is_chosen).collect()
    }
}

/// Returns the dialects that the page needs and that are not served.
pub(crate) fn missing_for_page(served: &[&dyn Dialect]) -> Vec<&'static str> {
    let is_served = |name: &str| served.iter().any(|dialect| dialect.name() == name);
    OF_THE_PAGE.into_iter().filter(|name| !is_served(name)).collect()
}

/// The name of a dialect in the table.
#[derive(Debug)]
pub(crate) struct DialectName;

impl SettingType for DialectName {
    type Value = &'static str;
    const VALUE_NAME: &'static str = "NAME";

    fn choices() -> Vec<&'static str> {
        DIALECTS.iter().map(|dialect| dialect.name()).collect()
    }

    fn read(text: &str) -> Result<&'static str, String> {
        let known = Self::choices();
        if let Some(name) = known.iter().find(|name| text.eq_ignore_ascii_case(name)) {
            return Ok(name);
        }
        let hint = nearest(text, known.iter().copied())
            .map(|meant| format!(": did you mean {meant:?}?"))
            .unwrap_or_default();
        Err(format!("any of {}, separated by commas; found {text:?}{hint}", known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use ai_integration_contract::Environment;

    use super::*;

    fn served(list: &str, platform: Option<&str>) -> Result<Vec<&'static str>, String> {
        let mut environment = Environment::default();
        environment.set(Settings::dialects(), list);
        let settings = Settings::read(&environment).map_err(|error| error.to_string())?;
        Ok(settings.served(platform).iter().map(|dialect| dialect.name()).collect())
    }

    #[test]
    fn the_chosen_dialects_are_served_in_the_order_of_the_table() {
        assert_eq!(served("classic, Native", None), Ok(vec!["native", "classic"]));
        assert_eq!(served("classic,classic", None), Ok(vec!["classic"]));
        let all = DialectName::choices();
        assert_eq!(served(&all.join(","), None), Ok(all));
    }

    #[test]
    fn a_dialect_of_a_platform_is_served_there_or_by_its_name() {
        for list in ["", ","] {
            let everywhere = served(list, None).unwrap();
            assert!(!everywhere.contains(&"vertex") && !everywhere.contains(&"azure_ml"));
            let on_vertex = served(list, Some("vertex")).unwrap();
            assert!(on_vertex.contains(&"vertex") && !on_vertex.contains(&"azure_ml"));
            assert_eq!(on_vertex.len(), everywhere.len() + 1);
        }
        assert_eq!(served("vertex", Some("azure_ml")), Ok(vec!["vertex"]));
        assert_eq!(served("native", Some("vertex")), Ok(vec!["native"]));
    }

    #[test]
    fn an_unknown_dialect_is_refused_with_the_nearest() {
        let error = served("native,clasic", None).unwrap_err();
        assert!(error.ends_with("found \"clasic\": did you mean \"classic\"?"), "{error}");
        assert!(served("gradio", None).unwrap_err().ends_with("found \"gradio\""));
    }

    #[test]
    fn the_page_needs_the_dialects_of_its_requests() {
        assert!(missing_for_page(DIALECTS).is_empty());
        assert_eq!(missing_for_page(&[&classic::Classic]), ["native"]);
        assert_eq!(missing_for_page(&[]), OF_THE_PAGE);
    }
}
