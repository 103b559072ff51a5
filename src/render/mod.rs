//! The faces of a report. Every function here is pure: a [`Report`] in, text out, the same text each time.

pub mod figure;
pub mod html;
pub mod json;
pub mod junit;
pub mod label;
pub mod markdown;
pub mod palette;
pub mod svg;
pub mod terminal;
pub mod text;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

use firedrill_core::report::Report;

/// One report in every form that is filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The contract: the report itself.
    pub json: String,
    /// For people: one self-contained page.
    pub html: String,
    /// For chats, pull requests and wikis.
    pub markdown: String,
    /// For build servers.
    pub junit: String,
}

/// Draws every form of a report that is filed.
pub fn all(report: &Report) -> Rendered {
    Rendered {
        json: json::render(report),
        html: html::render(report),
        markdown: markdown::render(report),
        junit: junit::render(report),
    }
}
