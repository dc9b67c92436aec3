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
    use signal_hook::consts::{
        SIGABRT, SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGUSR1,
        SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
    };
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::{emulate_default_handler, exit};

    use super::{Asked, Message, Sender};

    /// These end every watch, as a wish and not as a failure.
    const WISHES: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];
    /// These end every program. SIGSEGV and others that tell of a fault in the program itself are not
    /// among them: it cannot go on, not even to give its terminal back.
    const ENDS: [i32; 11] =
        [SIGQUIT, SIGABRT, SIGALRM, SIGPROF, SIGSYS, SIGTRAP, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ];
    /// The real-time signals of Linux, without those that C libraries keep for themselves.
    #[cfg(target_os = "linux")]
    const REAL_TIME: std::ops::RangeInclusive<i32> = 35..=64;

    /// How long the view may take to end. It does not if its terminal takes no more text.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Passes signals on.
    pub fn listen(inbox: &Sender<Message>) -> std::io::Result<()> {
        let mut signals = Signals::new(WISHES.iter().chain(&ENDS).chain(&[SIGTSTP, SIGCONT]))?;
        #[cfg(target_os = "linux")]
        for signal in [Signal::IO, Signal::POWER, Signal::STKFLT].map(Signal::as_raw).into_iter().chain(REAL_TIME) {
            // Some C libraries keep more of them.
            let _ = signals.add_signal(signal);
        }
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

    /// Ends with 0 if the signal is a wish, else as the signal would have ended us, so that our parent
    /// sees it. It writes nothing: the terminal may take no more text.
    pub fn end_by(signal: i32) {
        if WISHES.contains(&signal) {
            exit(0);
        }
        let _ = emulate_default_handler(signal);
        // That does not know all signals. A shell calls it by the same number.
        exit(128 + signal);
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
