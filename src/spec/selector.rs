//! Label selectors as Kubernetes writes them, checked before a cluster is asked: an empty or a broken one would match
//! everything or nothing.

/// Checks a selector such as `app=orders,role in (primary,master),!canary`.
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn check(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("an empty selector matches every object".to_owned());
    }
    requirements(text)?.into_iter().try_for_each(requirement)
}

fn requirements(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or("a `)` without its `(`")?,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err("a `(` is not closed".to_owned());
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn requirement(text: &str) -> Result<(), String> {
    let text = text.trim();
    if let Some(absent) = text.strip_prefix('!') {
        return key(absent.trim());
    }
    for operator in ["!=", "==", "="] {
        if let Some((left, right)) = text.split_once(operator) {
            return key(left.trim()).and_then(|()| value(right.trim()));
        }
    }
    let Some((left, right)) = text.split_once(char::is_whitespace) else {
        return key(text);
    };
    let right = right.trim();
    let list = right.strip_prefix("notin").or_else(|| right.strip_prefix("in")).map(str::trim);
    let inner = list.and_then(|l| l.strip_prefix('(')?.strip_suffix(')'));
    let Some(inner) = inner else {
        return Err(format!("`{text}` is neither `key=value` nor `key in (a,b)`"));
    };
    key(left)?;
    inner.split(',').try_for_each(|v| value(v.trim()))
}

fn key(text: &str) -> Result<(), String> {
    let name = text.rsplit('/').next().unwrap_or_default();
    if text.is_empty() || name.is_empty() {
        return Err("a key is missing".to_owned());
    }
    label(text, |c| matches!(c, '-' | '_' | '.' | '/'))
}

fn value(text: &str) -> Result<(), String> {
    label(text, |c| matches!(c, '-' | '_' | '.'))
}

fn label(text: &str, joint: impl Fn(char) -> bool) -> Result<(), String> {
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || joint(*c))) {
        Some(c) => Err(format!("`{text}` has `{c}` in it, which no label may have")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_kubernetes_takes_is_taken() {
        for good in [
            "app=orders",
            "app==orders,role!=replica",
            "role in (primary,master)",
            "role notin (a, b)",
            "app",
            "!canary",
            "app.kubernetes.io/name=web,tier=front",
            "empty=",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_it_refuses_is_refused() {
        for bad in ["", " ", "a b", "role in a,b", "role in (a", "a)", "=x", "app=a b", "a,,b", "app: web"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
