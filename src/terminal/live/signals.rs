//! Signals that end or suspend the view.

use std::sync::mpsc::Sender;

use super::Message;

/// What a signal asks for.
#[cfg_attr(not(unix), expect(dead_code, reason = "Windows has no such signals"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To end by this signal.
    End(i32),
    /// To stop.
    Stop,
    /// To go on, after a stop that could not be noticed.
    Resume,
}

#[cfg(unix)]
pub use unix::{end_by, listen, stop, stop_group};

#[cfg(unix)]
mod unix {
    use std::thread;
    use std::time::Duration;

    use rustix::process::{Signal, kill_current_process_group};
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use super::super::screen;
    use super::{Asked, Message, Sender};

    /// How long the view may take to end. It does not if its terminal takes no more text (Ctrl-S).
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Passes signals on.
    pub fn listen(inbox: &Sender<Message>) -> std::io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT])?;
        let inbox = inbox.clone();
        let pass_on = move || {
            for signal in signals.forever() {
                let asked = match signal {
                    SIGTSTP => Asked::Stop,
                    SIGCONT => Asked::Resume,
                    signal => Asked::End(signal),
                };
                let _ = inbox.send(Message::Signal(asked));
                if let Asked::End(signal) = asked {
                    thread::sleep(PATIENCE);
                    let _ = crossterm::terminal::disable_raw_mode();
                    end_by(signal);
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(pass_on).map(drop)
    }

    /// Ends as the signal would have ended us, so that our parent sees it.
    pub fn end_by(signal: i32) {
        screen::give_back();
        let _ = emulate_default_handler(signal);
    }

    /// Stops this process, until it is resumed.
    pub fn stop() {
        let _ = emulate_default_handler(SIGTSTP);
    }

    /// Asks the whole job to stop, as Ctrl-Z does outside the view.
    pub fn stop_group() {
        let _ = kill_current_process_group(Signal::TSTP);
    }
}

#[cfg(not(unix))]
pub use other::{end_by, listen, stop, stop_group};

/// There are no such signals.
#[cfg(not(unix))]
mod other {
    use super::{Message, Sender};

    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    pub fn listen(_: &Sender<Message>) -> std::io::Result<()> {
        Ok(())
    }

    pub fn end_by(_: i32) {}

    pub fn stop() {}

    pub fn stop_group() {}
}
