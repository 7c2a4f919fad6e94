use super::*;

const ADAPTER: &str = "/opt/extensions/lambda-adapter";

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::new(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())))
}

/// Applies the profile that these variables show, as if these paths existed.
fn on(
    variables: &[(&str, &str)],
    is_serve: bool,
    paths: &[&str],
) -> Result<(Option<Found>, Environment), String> {
    let mut environment = environment(variables);
    let found = apply_with(&mut environment, is_serve, &|path| paths.contains(&path))?;
    Ok((found, environment))
}

/// Returns the values of the platform, the mode and the port; `-` for one that is not set.
fn summary(variables: &[(&str, &str)], is_serve: bool, paths: &[&str]) -> String {
    match on(variables, is_serve, paths) {
        Ok((_, environment)) => {
            let values = [Settings::platform().name, MODE, PORT];
            values.map(|name| environment.variable(name).unwrap_or("-")).join(" ")
        }
        Err(error) => error,
    }
}

const LAMBDA: (&str, &str) = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
const VERTEX: [(&str, &str); 4] = [
    ("AIP_MODE", "PREDICTION"),
    ("AIP_HTTP_PORT", "8085"),
    ("AIP_HEALTH_ROUTE", "/h"),
    ("AIP_PREDICT_ROUTE", "/p"),
];

#[test]
fn each_platform_is_recognized() {
    let vertex = &VERTEX[..];
    for (variables, paths, expected) in [
        (&[][..], &[][..], "- - -"),
        (&[("PORT", "9000")], &[], "- - 9000"),
        (&[("SAGEMAKER_BATCH", "true")], &[], "sagemaker http 8080"),
        (vertex, &[], "vertex http 8085"),
        (&[("AIP_MODE", "TRAINING")], &[], "- - -"),
        (&[("AZUREML_ENTRY_SCRIPT", "score.py")], &[], "azure_ml http 5001"),
        (&[("SPACE_ID", "me/space")], &[], "spaces http 7860"),
        (&[("K_SERVICE", "model"), ("PORT", "8081")], &[], "knative http 8081"),
        (&[("K_SERVICE", "")], &[], "- - -"),
        (&[("STORAGE_URI", "s3://a/b")], &[], "- - -"),
        (&[LAMBDA], &[], "lambda lambda -"),
        (&[LAMBDA], &[ADAPTER], "lambda_web_adapter http 8080"),
        (&[LAMBDA, ("AWS_LWA_PORT", "7000")], &[], "lambda_web_adapter http 7000"),
        // An image with the adapter runs elsewhere, where the adapter does nothing.
        (&[("AWS_LWA_PORT", "7000"), ("K_SERVICE", "a")], &[ADAPTER], "knative http 8080"),
        (&[("RUNPOD_WEBHOOK_GET_JOB", "http://a/$ID")], &[], "runpod runpod -"),
        (
            &[("PORT_HEALTH", "8081"), ("RUNPOD_POD_ID", "pod1")],
            &[],
            "runpod_load_balancer http 80",
        ),
        (&[("PORT_HEALTH", "8081")], &[], "- - -"),
        (&[("RUNPOD_POD_ID", "pod1")], &[], "- - -"),
    ] {
        assert_eq!(summary(variables, false, paths), expected, "{variables:?}");
    }
}

#[test]
fn serve_is_a_sign_of_sagemaker_unless_another_platform_shows_itself() {
    for (variables, expected) in [
        (&[][..], "sagemaker http 8080"),
        (&[("PORT", "9000")], "sagemaker http 9000"),
        (&[("SAGEMAKER_BATCH", "true")], "sagemaker http 8080"),
        (&[("K_SERVICE", "model"), ("PORT", "8081")], "knative http 8081"),
        (&[LAMBDA], "lambda lambda 8080"),
        (&[("AI_INTEGRATION_PLATFORM", "none")], "none http 8080"),
        (&[("AI_INTEGRATION_PLATFORM", "baseten")], "baseten http 5000"),
    ] {
        assert_eq!(summary(variables, true, &[]), expected, "{variables:?}");
    }
}

#[test]
fn a_chosen_platform_needs_no_sign() {
    for (variables, expected) in [
        (&[("AI_INTEGRATION_PLATFORM", "KServe")][..], "kserve http 8080"),
        (&[("AI_INTEGRATION_PLATFORM", "vertex")], "vertex http 8080"),
        (&[("AI_INTEGRATION_PLATFORM", "none"), ("K_SERVICE", "a")], "none - -"),
        (&[("AI_INTEGRATION_PLATFORM", ""), ("K_SERVICE", "a")], "knative http 8080"),
        (
            &[("AI_INTEGRATION_PLATFORM", "runpod"), ("K_SERVICE", "a"), ("SPACE_ID", "b")],
            "runpod runpod -",
        ),
    ] {
        assert_eq!(summary(variables, false, &[]), expected, "{variables:?}");
    }
    let error = summary(&[("AI_INTEGRATION_PLATFORM", "sagemeker")], false, &[]);
    assert!(error.ends_with("; did you mean sagemaker?"), "{error}");
}

#[test]
fn two_platforms_that_disagree_are_an_error_with_the_way_out() {
    let error = summary(&[("SAGEMAKER_BATCH", "true"), ("K_SERVICE", "a")], true, &[]);
    assert_eq!(
        error,
        "the variables of two hosting platforms are set: Amazon SageMaker by SAGEMAKER_BATCH=true, and \
         Cloud Run or Knative by K_SERVICE; choose with AI_INTEGRATION_PLATFORM=sagemaker, \
         AI_INTEGRATION_PLATFORM=knative or AI_INTEGRATION_PLATFORM=none"
    );
    let queue = ("RUNPOD_WEBHOOK_GET_JOB", "http://a");
    let balanced = [queue, ("PORT_HEALTH", "1"), ("RUNPOD_POD_ID", "b")];
    for variables in [&[LAMBDA, ("SPACE_ID", "a")][..], &balanced] {
        let error = summary(variables, false, &[]);
        assert!(error.starts_with("the variables of two hosting platforms are set"), "{error}");
    }
}

#[test]
fn knative_may_stand_beside_kserve() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let variables = [
        ("STORAGE_URI", "s3://a/b"),
        ("K_SERVICE", "a"),
        ("PORT", "8080"),
        ("AI_INTEGRATION_MODEL_DIR", folder),
    ];
    assert_eq!(summary(&variables, false, &["/mnt/models"]), "kserve http 8080");
    assert_eq!(summary(&variables, false, &[]), "knative http 8080");
}

#[test]
fn half_of_vertex_is_an_error() {
    for left_out in ["AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"] {
        let rest: Vec<_> = VERTEX.into_iter().filter(|(name, _)| *name != left_out).collect();
        let error = summary(&rest, false, &[]);
        let start = format!("AIP_MODE=PREDICTION shows Vertex AI, which sets {left_out} too");
        assert!(error.starts_with(&start), "{error}");
    }
    let rest: Vec<_> = VERTEX.into_iter().filter(|(name, _)| *name != "AIP_HTTP_PORT").collect();
    assert_eq!(summary(&rest, false, &[]), "vertex http 8080");
}

#[test]
fn a_mode_that_is_set_wins_and_leaves_the_model_folder() {
    let (found, set) = on(&[("MODE", "command_line"), ("K_SERVICE", "a")], false, &[]).unwrap();
    assert_eq!(set.variable(MODE), Some("command_line"));
    assert_eq!(set.variable(PORT), None);
    assert!(found.unwrap().to_string().contains("the mode is not http"));
}

#[test]
fn a_port_of_the_platforms_own_wins_against_a_variable_but_not_a_flag() {
    let with_port = |port| [&VERTEX[..], &[("PORT", port)]].concat();
    assert_eq!(summary(&with_port("5000"), false, &[]), "vertex http 8085");
    let (found, _) = on(&with_port("5000"), false, &[]).unwrap();
    let line = found.unwrap().to_string();
    assert!(line.contains("AIP_HTTP_PORT=8085 overrides PORT=\"5000\""), "{line}");

    let mut flagged = environment(&VERTEX);
    let port = crate::find("http").and_then(crate::Mode::port);
    flagged.set(port.unwrap(), "5000");
    apply_with(&mut flagged, false, &|_| false).unwrap();
    assert_eq!(flagged.variable(PORT), Some("5000"));
}

#[test]
fn a_port_that_is_not_for_the_program_is_overridden() {
    let baseten = [("AI_INTEGRATION_PLATFORM", "baseten"), ("PORT", "8080")];
    for is_serve in [false, true] {
        assert_eq!(summary(&baseten, is_serve, &[]), "baseten http 5000");
    }
    let (found, _) = on(&baseten, false, &[]).unwrap();
    let line = found.unwrap().to_string();
    assert!(line.contains("Baseten overrides PORT=\"8080\""), "{line}");

    let mut flagged = environment(&baseten[..1]);
    let port = crate::find("http").and_then(crate::Mode::port);
    flagged.set(port.unwrap(), "7000");
    apply_with(&mut flagged, false, &|_| false).unwrap();
    assert_eq!(flagged.variable(PORT), Some("7000"));
}

#[test]
fn a_port_that_is_none_is_ignored_or_refused() {
    let link = ("PORT", "tcp://10.0.0.1:80");
    assert_eq!(summary(&[link, ("SAGEMAKER_BATCH", "true")], false, &[]), "sagemaker http 8080");
    let error = summary(&[LAMBDA, ("AWS_LWA_PORT", "http")], false, &[]);
    assert_eq!(error, "AWS_LWA_PORT=\"http\" does not fit: expected a port from 0 to 65535");
    let error = summary(&[("PORT_HEALTH", "abc"), ("RUNPOD_POD_ID", "p")], false, &[]);
    assert_eq!(error, "PORT_HEALTH=\"abc\" does not fit: expected a port from 0 to 65535");
    assert_eq!(summary(&[("SAGEMAKER_BATCH", "false")], false, &[]), "- - -");
}

#[test]
fn values_of_the_user_are_stronger_than_the_profiles() {
    let stop = "AI_INTEGRATION_STOP_TIMEOUT";
    let (_, set) = on(&[("K_SERVICE", "a")], false, &[]).unwrap();
    assert_eq!(set.variable(stop), Some("8"));
    let (_, set) = on(&[("K_SERVICE", "a"), (stop, "3")], false, &[]).unwrap();
    assert_eq!(set.variable(stop), Some("3"));
}

#[test]
fn the_folder_of_the_model_is_the_users_or_the_platforms() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let name = Settings::model_dir().name;
    let of = |variables: &[(&str, &str)]| {
        on(variables, false, &[]).map(|(_, set)| set.variable(name).map(str::to_owned))
    };
    assert_eq!(of(&[]), Ok(None));
    assert_eq!(of(&[("SAGEMAKER_BATCH", "true")]), Ok(None));
    assert_eq!(of(&[(name, folder)]), Ok(Some(folder.to_owned())));
    assert_eq!(of(&[("AZUREML_MODEL_DIR", folder)]), Ok(Some(folder.to_owned())));
    let both = [("AZUREML_MODEL_DIR", "/there/is/none"), (name, folder)];
    assert_eq!(of(&both), Ok(Some(folder.to_owned())));
    for source in [name, "AZUREML_MODEL_DIR"] {
        let error = of(&[(source, "/there/is/none")]).unwrap_err();
        let start = format!("{source}=\"/there/is/none\" does not fit: the folder of the model");
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn every_profile_is_complete() {
    let settings = crate::MODES.iter().flat_map(|mode| mode.settings()).copied().flatten();
    let engine = ai_integration_engine::settings::Config::SETTINGS;
    let known: Vec<&str> = settings.chain(engine).map(|setting| setting.name).collect();
    let mut names = Vec::new();
    for profile in PLATFORMS {
        let name = profile.name;
        assert!(
            !names.contains(&name) && !profile.title.is_empty() && !profile.page.is_empty(),
            "{name}"
        );
        names.push(name);
        for (setting, _) in profile.defaults {
            assert!(known.contains(setting), "{name}: {setting}");
        }
        for sign in profile.signs {
            let is_cheap = matches!(sign[0], Sign::Serve | Sign::Variable(_) | Sign::Value(..));
            assert!(is_cheap, "{name}: Python looks at the first part of a sign");
        }
    }
    for beside in PLATFORMS.iter().flat_map(|profile| profile.beside) {
        assert!(names.contains(beside), "{beside}");
    }
}

#[test]
fn the_variables_of_the_python_package_have_no_doubles() {
    let all = variables();
    assert!(all.contains(&("AIP_MODE", Some("PREDICTION"))));
    let lambdas = all.iter().filter(|(name, _)| *name == LAMBDA.0).count();
    assert_eq!(lambdas, 1);
}
