//! Where in a document something is, as a person would say it: `method[0].kill-primary.target`.

use std::fmt;

/// One step down: into a mapping by its key, or into a list by its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key.
    Key(String),
    /// An index, from 0.
    Index(usize),
}

/// The way from the root of a document to one of its nodes. Empty for the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePath(Vec<Step>);

impl NodePath {
    /// Reads `method[0].kill-primary.target`; a key with other characters than letters, digits, `-` and `_` is quoted:
    /// `rows["public.orders"]`. What cannot be read ends the path: it then names the nearest node above.
    pub fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let Some((step, after)) = take_step(rest) else { break };
            steps.push(step);
            rest = after;
        }
        Self(steps)
    }

    /// The steps, from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// One step further down, by key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// One step further down, by index.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

fn take_step(text: &str) -> Option<(Step, &str)> {
    if let Some(quoted) = text.strip_prefix("[\"") {
        let end = quoted.find("\"]")?;
        return Some((Step::Key(quoted[..end].to_owned()), &quoted[end + 2..]));
    }
    if let Some(bracket) = text.strip_prefix('[') {
        let end = bracket.find(']')?;
        return Some((Step::Index(bracket[..end].parse().ok()?), &bracket[end + 1..]));
    }
    let text = text.strip_prefix('.').unwrap_or(text);
    let end = text.find(['.', '[']).unwrap_or(text.len());
    (end > 0).then(|| (Step::Key(text[..end].to_owned()), &text[end..]))
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if !is_plain(key) => write!(f, "[\"{key}\"]")?,
                Step::Key(key) if nth == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["", "guards.lag", "method[0].kill-primary.target", "verify.rows[\"public.orders\"]", "waves[1][0]"]
        {
            assert_eq!(NodePath::parse(text).to_string(), text);
        }
    }

    #[test]
    fn a_broken_path_names_the_nearest_node_above() {
        assert_eq!(NodePath::parse("probes[x].a").to_string(), "probes");
        assert_eq!(NodePath::parse("a..b").to_string(), "a");
    }
}
