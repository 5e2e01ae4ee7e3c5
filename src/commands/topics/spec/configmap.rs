//! A ConfigMap's manifest as a file: each key of `data` is a text of its own, with its places in the manifest.

use crate::commands::topics::spec::read::Draft;
use crate::commands::topics::spec::read::Format;
use crate::formats::yaml::{Node, Origin, Style, Value, short};

const FIELDS: &[&str] = &["apiVersion", "kind", "metadata", "data", "binaryData", "immutable"];

/// Endings that a key may have; a key without a dot is read, too.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// Reads a manifest of kind ConfigMap.
pub(super) fn read(draft: &mut Draft, document: &Node<'_>, format: Format) {
    let Some(fields) = draft.reader.fields(document, "a ConfigMap", FIELDS) else { return };
    if let Some(node) = fields.get("binaryData").filter(|node| !node.is_null()) {
        draft.reader.fault_with_hint(&node.place, "`binaryData` is not read", "put topics into `data`");
    }
    let Some(data) = fields.get("data").filter(|node| !node.is_null()) else {
        return draft.note(fields.place, "this ConfigMap has no `data`: it declares nothing");
    };
    let Some(data) = draft.reader.mapping(data, "`data` of a ConfigMap") else { return };
    for entry in data.entries() {
        if !is_spec(&entry.key) {
            let key = short(&entry.key);
            draft.note(&entry.place, format!("the key `{key}` is passed over: it is no .yaml, .yml or .json"));
            continue;
        }
        let what = format!("`{}` of `data`", short(&entry.key));
        if let Value::Map(_) | Value::List(_) = entry.value.value {
            let hint = format!("write `{}: |` and indent the topics below it", short(&entry.key));
            draft.reader.fault_with_hint(&entry.value.place, format!("{what} must be a text"), hint);
            continue;
        }
        if let Some(text) = draft.reader.text(&entry.value, &what) {
            draft.text(&origin_of(&entry.key, &entry.value), &text.value, format, true);
        }
    }
}

/// Whether a key of a ConfigMap is read: one that ends as the files of a folder do, or has no ending.
pub fn is_spec(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !key.contains('.') || ENDINGS.iter().any(|ending| key.ends_with(ending))
}

/// In a block after `|` each line stands as it is, so the places are those of the manifest. In any other form lines
/// are folded or escaped: then the places count inside of the value, and the source says so.
fn origin_of(key: &str, node: &Node<'_>) -> Origin {
    let place = &node.place;
    match node.scalar() {
        Some(scalar) if scalar.style == Style::Literal => {
            // The block's place is that of its first line that is not empty.
            let empty_lines = scalar.text.bytes().take_while(|byte| *byte == b'\n').count() as u64;
            Origin {
                source: place.source.clone(),
                lines_before: place.line.saturating_sub(1 + empty_lines),
                columns_before: place.column.saturating_sub(1),
            }
        }
        _ => Origin::new(format!("{place}, inside key {key}")),
    }
}
