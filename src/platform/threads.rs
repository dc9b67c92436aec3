//! The same work on many things, in several threads.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many threads can work at once: one for each processor that this process may use, and 32 at
/// most.
pub fn most() -> usize {
    // The standard library also reads the limits of the cgroup, which takes longer than all else on a
    // small machine.
    #[cfg(target_os = "linux")]
    let processors = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count() as usize);
    #[cfg(not(target_os = "linux"))]
    let processors = thread::available_parallelism().map_or(1, usize::from);
    processors.clamp(1, 32)
}

/// How many threads `items` are worth, if `worth_one` of them take longer than a thread to start.
pub fn for_items(items: usize, worth_one: usize) -> usize {
    (items / worth_one).clamp(1, most())
}

/// The results of `f` in the order of `items`, by threads as in [`each`].
pub fn map<T: Send, R: Send>(items: Vec<T>, at_once: usize, f: impl Fn(T) -> R + Sync) -> Vec<R> {
    let mut places: Vec<(Option<T>, Option<R>)> = items.into_iter().map(|item| (Some(item), None)).collect();
    each(&mut places, at_once, |(item, result)| *result = item.take().map(&f));
    places.into_iter().filter_map(|(_, result)| result).collect()
}

/// Does `work` on each of `items` where it is, by at most `at_once` threads, of which this is one.
/// Where no thread can be started, the others do its work.
pub fn each<T: Send>(items: &mut [T], at_once: usize, work: impl Fn(&mut T) + Sync) {
    let helpers = at_once.min(items.len()).saturating_sub(1);
    let left = Mutex::new(items.iter_mut());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || std::iter::from_fn(next).for_each(&work);
    thread::scope(|scope| {
        for _ in 0..helpers {
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
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
