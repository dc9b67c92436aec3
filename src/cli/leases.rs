//! `portcheck leases` and `portcheck release 8080`: what became of the ports that were picked.

use clap::Args;

use super::common::Output;
use super::free;
use super::names::PickingFormats;
use super::{Stop, Wish, help};

#[derive(Debug, Args)]
#[command(after_help = help::styled(help::LEASES))]
pub struct LeasesArgs {
    #[command(flatten)]
    output: Output<PickingFormats>,
}

impl LeasesArgs {
    /// What it asks for.
    pub fn resolve(&self) -> Wish {
        Wish::Leases(self.output.printing())
    }
}

#[derive(Debug, Args)]
#[command(after_help = help::styled(help::RELEASE))]
pub struct ReleaseArgs {
    /// The leased ports
    #[arg(value_name = "PORT", required = true)]
    ports: Vec<String>,
    #[command(flatten)]
    output: Output<PickingFormats>,
}

impl ReleaseArgs {
    /// What it asks for.
    pub fn resolve(&self) -> Result<Wish, Stop> {
        let ports = free::ports("release", &self.ports)?;
        Ok(Wish::Release(ports, self.output.printing()))
    }
}
