//! `demo`.

use crate::cli::Setting;
use crate::cli::exit::Exit;
use clap::Args;

/// Four drills.
#[derive(Debug, Args)]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) async fn go(&self, _setting: &Setting) -> Exit {
        Exit::Bug
    }
}
