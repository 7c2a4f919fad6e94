//! Managed and Kubernetes online endpoints of Azure Machine Learning. Addresses and port are those of
//! its inference server, unless the deployment file names others.

use crate::platform::{Health, Profile, Sign, Source};

const MODEL: &str = "AZUREML_MODEL_DIR";

pub(super) const AZURE_ML: Profile = Profile {
    name: "azure_ml",
    title: "Azure ML",
    signs: &[&[Sign::Variable(MODEL)], &[Sign::Variable("AZUREML_ENTRY_SCRIPT")]],
    port: Some(Source::Fixed("5001")),
    health: &[Health { address: Source::Fixed("/"), body: "Healthy" }],
    model_dirs: &[Source::Variable(MODEL)],
    predict: "POST /score",
    page: "azure-ml.md",
    ..Profile::PLAIN
};
