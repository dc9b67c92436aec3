//! The same work on many things, in several threads.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many threads can work at once.
pub fn most() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The results of `f` in the order of `items`, by at most `at_once` threads, of which this is one.
/// Where a thread cannot be had, the others do its work.
pub fn map<T: Send, R: Send>(items: Vec<T>, at_once: usize, f: impl Fn(T) -> R + Sync) -> Vec<R> {
    let helpers = at_once.min(items.len()).saturating_sub(1);
    let left = Mutex::new(items.into_iter().enumerate());
    let work = || {
        let mut done = Vec::new();
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some((at, item)) = next() {
            done.push((at, f(item)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(start).collect();
        let mut done = work();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|&(at, _)| at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_the_order_of_what_they_are_of() {
        for at_once in [0, 1, 3, 100] {
            let numbers: Vec<u32> = (0..50).collect();
            assert_eq!(map(numbers.clone(), at_once, |number| number + 1), (1..51).collect::<Vec<u32>>());
        }
        assert!(map(Vec::<u32>::new(), 4, |number| number).is_empty());
    }
}
