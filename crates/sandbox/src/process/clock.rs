//! The one clock whose readings mean the same in every process of a machine.

/// `CLOCK_BOOTTIME` in nanoseconds: monotonic, counts suspended time, comparable across processes of one boot.
pub fn boottime_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanoseconds
}
