//! Exit codes, as documented.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0
    Pass,
    /// 1
    Fail,
    /// 2
    Usage,
    /// 3
    Inconclusive,
    /// 4
    Aborted,
    /// 5
    Refused,
    /// 6
    Residue,
    /// 70
    Bug,
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::Aborted => 4,
            Self::Refused => 5,
            Self::Residue => 6,
            Self::Bug => 70,
        }
    }

    /// From the number in a report.
    pub(crate) fn of(code: u8) -> Self {
        [Self::Pass, Self::Fail, Self::Usage, Self::Inconclusive, Self::Aborted, Self::Refused, Self::Residue]
            .into_iter()
            .find(|e| e.code() == code)
            .unwrap_or(Self::Bug)
    }

    /// The worse of two: residue over all, then a bug, then the larger number.
    pub(crate) fn worst(self, other: Self) -> Self {
        let weight = |e: Self| match e {
            Self::Residue => 200,
            e => e.code(),
        };
        if weight(other) > weight(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
