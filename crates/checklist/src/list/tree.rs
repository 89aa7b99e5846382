//! What a Markdown reader sees: the boxes of the tree, to be held against those of the lines.

use std::collections::HashSet;

use comrak::{Arena, Options, nodes::NodeValue, parse_document};

/// Lines (from 1) of the boxes that Markdown shows.
pub(super) fn box_lines(text: &str) -> HashSet<usize> {
    let arena = Arena::new();
    let mut options = Options::default();
    options.extension.tasklist = true;
    let root = parse_document(&arena, text, &options);
    let is_box = |value: &NodeValue| matches!(value, NodeValue::TaskItem(_));
    root.descendants()
        .filter_map(|node| {
            let data = node.data.borrow();
            is_box(&data.value).then(|| data.sourcepos.start.line)
        })
        .collect()
}
