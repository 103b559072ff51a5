//! Where labels go, so that they never overlap and are never cut, whatever the times and however narrow the drawing.
//!
//! Marks are placed from right to left, each at the first place that is free: row by row, to the right of its mark
//! before to its left. A place where no leader crosses a text is preferred to one nearer the axis. Because rows are
//! added as needed and a label is shortened to the wider side of its mark, there is always a place.

use super::text::{Weight, fit, width_px};

/// Between two labels in a row, and between a leader and a text beside it.
const GAP_PX: f64 = 10.0;

/// Between a mark and its own label.
const INSET_PX: f64 = 5.0;

/// Something to be labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Where it is, from the left edge of the drawing.
    pub x: f64,
    /// The part of the label in bold, in front (a time).
    pub strong: String,
    /// The rest.
    pub word: String,
}

/// On which side of its mark a label is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It begins at the mark.
    Right,
    /// It ends at the mark.
    Left,
}

/// A label with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Which mark it belongs to: an index into the marks given.
    pub mark: usize,
    /// The row, 0 next to the axis.
    pub row: usize,
    /// On which side of the mark.
    pub side: Side,
    /// Where its text is anchored.
    pub text_x: f64,
    /// The bold part, as far as it fits.
    pub strong: String,
    /// The rest, as far as it fits.
    pub word: String,
    /// Its left and right ends.
    pub from_x: f64,
    /// Its right end.
    pub to_x: f64,
}

/// A place that is free.
struct Place {
    row: usize,
    side: Side,
    from_x: f64,
    to_x: f64,
    crossings: usize,
}

/// Places a label for every mark, in a drawing `width` pixels wide, with text of `size` pixels.
pub fn place(marks: &[Mark], width: f64, size: f64) -> Vec<Label> {
    let mut order: Vec<usize> = (0..marks.len()).collect();
    order.sort_by(|a, b| marks[*b].x.total_cmp(&marks[*a].x).then(b.cmp(a)));
    let mut placed: Vec<Label> = Vec::with_capacity(marks.len());
    for mark in order {
        let x = marks[mark].x.clamp(0.0, width);
        let room = (x.max(width - x) - INSET_PX).max(0.0);
        let (strong, word) = shortened(&marks[mark], room, size);
        let label_px = text_px(&strong, &word, size);
        let place = best(&placed, marks, mark, label_px, width);
        let text_x = match place.side {
            Side::Right => x + INSET_PX,
            Side::Left => x - INSET_PX,
        };
        let Place { row, side, from_x, to_x, .. } = place;
        placed.push(Label { mark, row, side, text_x, strong, word, from_x, to_x });
    }
    placed.sort_by_key(|label| label.mark);
    placed
}

fn text_px(strong: &str, word: &str, size: f64) -> f64 {
    if word.is_empty() {
        return width_px(strong, size, Weight::Bold);
    }
    width_px(strong, size, Weight::Bold) + width_px(" ", size, Weight::Regular) + width_px(word, size, Weight::Regular)
}

fn shortened(mark: &Mark, room: f64, size: f64) -> (String, String) {
    let strong = fit(&mark.strong, room, size, Weight::Bold);
    let left = room - width_px(&strong, size, Weight::Bold) - width_px(" ", size, Weight::Regular);
    let word = if left > 0.0 { fit(&mark.word, left, size, Weight::Regular) } else { String::new() };
    (strong, word)
}

/// The first free place without a crossing; else, of all down to a fresh row, the one with the fewest. A mark that
/// is not placed yet counts as one whose leader will pass here.
fn best(placed: &[Label], marks: &[Mark], mark: usize, label_px: f64, width: f64) -> Place {
    let x = marks[mark].x.clamp(0.0, width);
    let fresh_row = placed.iter().map(|l| l.row + 1).max().unwrap_or(0);
    let mut best: Option<Place> = None;
    for row in 0..=fresh_row {
        for side in [Side::Right, Side::Left] {
            let (from_x, to_x) = match side {
                Side::Right => (x, x + INSET_PX + label_px),
                Side::Left => (x - INSET_PX - label_px, x),
            };
            let inside = from_x >= -0.01 && to_x <= width + 0.01;
            let free = placed.iter().all(|l| l.row != row || to_x + GAP_PX <= l.from_x || l.to_x + GAP_PX <= from_x);
            if !(inside && free) {
                continue;
            }
            let own = placed.iter().filter(|l| l.row < row && l.from_x - 1.0 < x && x < l.to_x + 1.0).count();
            let passes = |other: usize| {
                let settled_above = placed.iter().any(|l| l.mark == other && l.row <= row);
                other != mark && !settled_above && from_x < marks[other].x && marks[other].x < to_x
            };
            let others = (0..marks.len()).filter(|other| passes(*other)).count();
            let crossings = own + others;
            if crossings == 0 {
                return Place { row, side, from_x, to_x, crossings };
            }
            if best.as_ref().is_none_or(|b| crossings < b.crossings) {
                best = Some(Place { row, side, from_x, to_x, crossings });
            }
        }
    }
    // Only a drawing too narrow for any text gets here; its labels are empty.
    best.unwrap_or(Place { row: fresh_row, side: Side::Right, from_x: x, to_x: x, crossings: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(x: f64, word: &str) -> Mark {
        Mark { x, strong: "+1.86 s".into(), word: word.into() }
    }

    #[test]
    fn marks_far_apart_share_the_first_row_and_the_last_one_turns_left() {
        let labels = place(&[mark(10.0, "injected"), mark(300.0, "promoted"), mark(690.0, "redundant")], 700.0, 12.0);
        assert_eq!(
            labels.iter().map(|l| (l.row, l.side)).collect::<Vec<_>>(),
            [(0, Side::Right), (0, Side::Right), (0, Side::Left)]
        );
    }

    #[test]
    fn marks_at_one_point_get_a_row_each_or_a_side_each() {
        let labels = place(&[mark(300.0, "injected"), mark(300.0, "landed"), mark(300.0, "down")], 700.0, 12.0);
        assert_disjoint(&labels);
    }

    fn assert_disjoint(labels: &[Label]) {
        for (n, a) in labels.iter().enumerate() {
            for b in &labels[n + 1..] {
                assert!(a.row != b.row || a.to_x <= b.from_x || b.to_x <= a.from_x, "{a:?} overlaps {b:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn labels_never_overlap_are_never_cut_and_none_is_missing(
            width in 120.0_f64..1_400.0,
            marks in prop::collection::vec((0.0_f64..1.0, ".{0,60}", "[+−][0-9]{1,4}\\.[0-9]{2} s"), 0..14),
        ) {
            let marks: Vec<_> = marks.into_iter().map(|(x, word, strong)| Mark { x: x * width, strong, word }).collect();
            let labels = place(&marks, width, 12.0);
            prop_assert_eq!(labels.len(), marks.len());
            for (n, label) in labels.iter().enumerate() {
                prop_assert_eq!(label.mark, n);
                prop_assert!(label.from_x >= -0.02 && label.to_x <= width + 0.02, "{:?} leaves {}", label, width);
                let text = text_px(&label.strong, &label.word, 12.0);
                prop_assert!(text <= label.to_x - label.from_x + 0.01, "{:?} is wider than its place", label);
            }
            assert_disjoint(&labels);
        }

        #[test]
        fn a_label_with_room_says_everything(x in 0.0_f64..700.0, word in "[a-z ]{1,20}") {
            let marks = [Mark { x, strong: "+1.86 s".into(), word }];
            let labels = place(&marks, 700.0, 12.0);
            prop_assert_eq!(&labels[0].word, &marks[0].word);
        }
    }
}
