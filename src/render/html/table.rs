//! Tables that become lists on a phone: each cell knows its column's name. The roles are spelled out, because a
//! table drawn as blocks loses them in some browsers.

use maud::{Markup, html};

/// A column.
#[derive(Clone, Copy)]
pub(super) enum Column {
    /// Words.
    Text(&'static str),
    /// Figures, aligned at the right.
    Number(&'static str),
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }

    fn class(self) -> Option<&'static str> {
        match self {
            Self::Text(_) => None,
            Self::Number(_) => Some("n"),
        }
    }
}

/// How a row stands out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// It does not.
    Plain,
    /// It is bad.
    Bad,
    /// It is open.
    Open,
}

/// A row.
pub(super) struct Row {
    pub(super) tone: Tone,
    pub(super) cells: Vec<Markup>,
}

impl Row {
    pub(super) fn plain(cells: Vec<Markup>) -> Self {
        Self { tone: Tone::Plain, cells }
    }
}

/// The table, or nothing without rows.
pub(super) fn table(label: &str, columns: &[Column], rows: &[Row]) -> Option<Markup> {
    (!rows.is_empty()).then(|| {
        html! {
            table role="table" aria-label=(label) {
                thead role="rowgroup" {
                    tr role="row" {
                        @for column in columns {
                            th role="columnheader" scope="col" class=[column.class()] { (column.name()) }
                        }
                    }
                }
                tbody role="rowgroup" {
                    @for row in rows {
                        tr role="row" class=[match row.tone { Tone::Plain => None, Tone::Bad => Some("t-bad"), Tone::Open => Some("t-open") }] {
                            @for (column, cell) in columns.iter().zip(&row.cells) {
                                td role="cell" class=[column.class()] data-label=(column.name()) { (cell) }
                            }
                        }
                    }
                }
            }
        }
    })
}
