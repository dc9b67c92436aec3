//! Tells who holds each port that is named: `cargo run --example who -- 22 8080`.

use std::process::ExitCode;

use portcheck::Error;

fn main() -> Result<ExitCode, Error> {
    let ports: Result<Vec<u16>, _> = std::env::args().skip(1).map(|port| port.parse()).collect();
    let Ok(ports) = ports else {
        eprintln!("usage: who PORT...");
        return Ok(ExitCode::from(2));
    };
    for port in ports {
        let diagnosis = portcheck::check(port)?;
        for report in &diagnosis.ports {
            for finding in &report.verdict.findings {
                println!("{}: {}", report.observed.name(), diagnosis.summary(finding));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
