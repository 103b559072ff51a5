//! Enough of Rust's grammar to tell code from comments, quotes and tests.

/// What the reader stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Code,
    LineComment,
    BlockComment(u32),
    Text,
    RawText(usize),
}

/// The text with comments and what stands in quotes blanked out. Line breaks stay.
pub(super) fn bare(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut state = In::Code;
    let mut at = 0;
    while at < chars.len() {
        let (next, taken) = step(state, &chars, at);
        for c in &chars[at..(at + taken).min(chars.len())] {
            let keep = *c == '\n' || (state == In::Code && next == In::Code);
            out.push(if keep { *c } else { ' ' });
        }
        at += taken;
        state = next;
    }
    out
}

/// The state after the next few characters, and how many they are.
fn step(state: In, chars: &[char], at: usize) -> (In, usize) {
    let c = chars[at];
    let second = chars.get(at + 1).copied();
    match state {
        In::Code => match (c, second) {
            ('/', Some('/')) => (In::LineComment, 2),
            ('/', Some('*')) => (In::BlockComment(1), 2),
            ('"', _) => (In::Text, 1),
            ('r', Some('"' | '#')) if at == 0 || !is_word(chars[at - 1]) || chars[at - 1] == 'b' => raw(chars, at),
            ('\'', _) => (In::Code, character(chars, at)),
            _ => (In::Code, 1),
        },
        In::LineComment if c == '\n' => (In::Code, 1),
        In::BlockComment(depth) => match (c, second) {
            ('*', Some('/')) if depth == 1 => (In::Code, 2),
            ('*', Some('/')) => (In::BlockComment(depth - 1), 2),
            ('/', Some('*')) => (In::BlockComment(depth + 1), 2),
            _ => (state, 1),
        },
        In::Text => match c {
            '\\' => (state, 2),
            '"' => (In::Code, 1),
            _ => (state, 1),
        },
        In::RawText(hashes) if c == '"' && chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes => {
            (In::Code, 1 + hashes)
        }
        In::LineComment | In::RawText(_) => (state, 1),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `r"` or `r#"`; a raw identifier is code.
fn raw(chars: &[char], at: usize) -> (In, usize) {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    match chars.get(at + 1 + hashes) {
        Some('"') => (In::RawText(hashes), hashes + 2),
        _ => (In::Code, 1),
    }
}

/// How long a character in quotes is; 1 for the quote of a lifetime.
fn character(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => chars[at + 3..].iter().position(|c| *c == '\'').map_or(1, |end| end + 4),
        (Some(_), Some('\'')) => 3,
        _ => 1,
    }
}

const CFG_TEST: &str = "#[cfg(test)]";

/// Bare code with the items under `#[cfg(test)]` blanked out.
pub(super) fn without_tests(bare: &str) -> String {
    let mut out = String::with_capacity(bare.len());
    let mut rest = bare;
    while let Some(at) = rest.find(CFG_TEST) {
        let (before, item) = rest.split_at(at);
        let length = item_length(item);
        out.push_str(before);
        out.extend(item[..length].chars().map(|c| if c == '\n' { c } else { ' ' }));
        rest = &item[length..];
    }
    out.push_str(rest);
    out
}

/// To the end of an item: its `;`, or the brace that closes its first one.
fn item_length(item: &str) -> usize {
    let mut depth = 0_u32;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    item.len()
}

/// The modules in files of their own that a file declares for tests only, as paths without `.rs`.
pub(super) fn test_modules(path: &str, text: &str) -> Vec<String> {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let base = match stem.rsplit_once('/') {
        Some((directory, "mod" | "lib" | "main")) => directory,
        _ => stem,
    };
    let code = bare(text);
    let under_test = code.split(CFG_TEST).skip(1);
    let names = under_test.filter_map(|item| {
        let declared = item[..item_length(item)].trim_end().strip_suffix(';')?;
        declared.split_whitespace().skip_while(|word| *word != "mod").nth(1).map(str::to_owned)
    });
    names.map(|name| format!("{base}/{name}")).collect()
}

/// The lines in which a word stands by itself, counted from 1.
pub(super) fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let stands_alone = |line: &str| {
        line.match_indices(word).any(|(at, found)| {
            let before = line[..at].chars().next_back();
            let after = line[at + found.len()..].chars().next();
            let joins =
                |edge: Option<char>, other: Option<char>| edge.is_some_and(is_word) && other.is_some_and(is_word);
            !joins(word.chars().next(), before) && !joins(word.chars().next_back(), after)
        })
    };
    code.lines().enumerate().filter(|(_, line)| stands_alone(line)).map(|(nth, _)| nth + 1).collect()
}

#[test]
fn comments_and_quotes_are_no_code() {
    let text = "a(\"x\\\"y // z\"); // b\n/* c /* d */ e */ f('\"', 'l', '\\'', r#\"g \" h\"#, &'static i)\n";
    let bare = bare(text);
    assert_eq!(bare.lines().count(), 2);
    let words: Vec<&str> = bare.split(|c: char| !is_word(c)).filter(|w| !w.is_empty()).collect();
    assert_eq!(words, ["a", "f", "l", "static", "i"]);
}

#[test]
fn modules_of_tests_are_no_code() {
    let code = without_tests(
        "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}\n",
    );
    assert!(code.contains("fn a") && code.contains("fn c") && code.contains("fn e"), "{code}");
    assert!(!code.contains("fn b") && !code.contains("mod d"), "{code}");
    assert_eq!(code.lines().count(), 9);
}

#[test]
fn modules_in_files_of_their_own_are_found_where_they_lie() {
    let text = "#[cfg(test)]\npub(crate) mod fixtures;\nmod real;\n#[cfg(test)]\nmod tests { fn a() {} }\n";
    assert_eq!(test_modules("src/render/mod.rs", text), ["src/render/fixtures"]);
    assert_eq!(test_modules("src/render.rs", text), ["src/render/fixtures"]);
}

#[test]
fn a_word_stands_by_itself() {
    assert_eq!(lines_with("kube::Api\nmykube\nkubelet\nuse kube;\n", "kube"), [1, 4]);
    assert_eq!(lines_with("a.unwrap()\na.unwrap_or(b)\n", ".unwrap()"), [1]);
}
