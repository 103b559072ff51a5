//! `serve`: a whole sandbox by hand, until standard input closes or Ctrl-C. Prints its facts as JSON.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use crate::{Options, Sandbox};

/// Runs `serve DIR [ANNOTATION=VALUE…]`.
pub(crate) fn serve_main(args: &[OsString]) -> ExitCode {
    let [dir, annotations @ ..] = args else {
        let _ = writeln!(io::stderr(), "usage: serve DIR [ANNOTATION=VALUE…]");
        return ExitCode::from(2);
    };
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(serve(PathBuf::from(dir), annotations)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(dir: PathBuf, annotations: &[OsString]) -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::new(dir, std::env::current_exe()?);
    for annotation in annotations {
        let (key, value) = annotation.to_str().and_then(|text| text.split_once('=')).ok_or("expected KEY=VALUE")?;
        options = options.annotate(key, value);
    }
    let sandbox = Sandbox::start(options).await?;
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(sandbox.facts())?)?;
    let (ended, input_ended) = tokio::sync::oneshot::channel();
    // A thread, since nothing can wake a read of standard input; it ends with the process.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = ended.send(());
    });
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = input_ended => {}
        () = sandbox.keeper().gone() => return Err("the keeper has ended, and the sandbox with it".into()),
    }
    sandbox.stop().await?;
    Ok(())
}
