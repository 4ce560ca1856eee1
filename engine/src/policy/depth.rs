//! How deep a text is nested, told before it is parsed: what reads policies takes stack for each level.

/// How deep a policy may be nested. A chain of operators counts as deep as it is long, which is what it is to a parser.
pub(super) const DEEPEST: usize = 2_000;

/// The stack that reading so deep a policy takes, with room to spare.
pub(super) const STACK: usize = 128 * 1024 * 1024;

/// Where in `text`, Cedar's policies or a schema, something is nested deeper than [`DEEPEST`]. It may tell more levels than
/// there are, never less. O(text).
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let mut depth = Depth::default();
    let mut rest = text.char_indices().peekable();
    while let Some((at, char)) = rest.next() {
        let next = rest.peek().map(|(_, next)| *next);
        match char {
            '/' if next == Some('/') => while rest.next_if(|(_, char)| *char != '\n').is_some() {},
            '"' => {
                while let Some((_, char)) = rest.next_if(|(_, char)| *char != '"') {
                    if char == '\\' {
                        rest.next();
                    }
                }
                rest.next();
            }
            '(' | '[' | '{' => depth.open(),
            ')' | ']' | '}' => depth.close(),
            '.' => depth.dot(),
            ',' => depth.part(),
            '&' | '|' if next == Some(char) => {
                rest.next();
                depth.link();
            }
            '!' | '-' | '+' | '*' => depth.link(),
            ';' if depth.dots.is_empty() => depth = Depth::default(),
            _ if char.is_alphabetic() => {
                let mut word = String::from(char);
                while let Some((_, char)) = rest.next_if(|(_, char)| char.is_alphanumeric() || *char == '_') {
                    word.push(char);
                }
                if ["if", "when", "unless"].contains(&word.as_str()) {
                    depth.link();
                }
            }
            _ => {}
        }
        if depth.most() > DEEPEST {
            return Some(at);
        }
    }
    None
}

/// What was seen of one policy.
#[derive(Default)]
struct Depth {
    /// How many brackets were open at most.
    brackets: usize,
    links: usize,
    /// For each bracket that is open, and for none: how long a chain of `.` is, with those that lead out of brackets in
    /// it, and was at most.
    dots: Vec<(usize, usize)>,
    outside: (usize, usize),
}

impl Depth {
    fn chain(&mut self) -> &mut (usize, usize) {
        self.dots.last_mut().unwrap_or(&mut self.outside)
    }

    fn dot(&mut self) {
        self.chain().0 += 1;
    }

    /// What comes next is no part of the chain of `.` before it.
    fn part(&mut self) {
        let (now, most) = self.chain();
        *most = (*most).max(std::mem::take(now));
    }

    fn open(&mut self) {
        self.dots.push((0, 0));
        self.brackets = self.brackets.max(self.dots.len());
    }

    fn close(&mut self) {
        self.part();
        if let Some((_, most)) = self.dots.pop() {
            self.chain().0 += most;
        }
    }

    fn link(&mut self) {
        self.links += 1;
        self.part();
    }

    fn most(&mut self) -> usize {
        let (now, most) = *self.chain();
        self.brackets + self.links + now.max(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_seen_and_what_is_only_long_is_not() {
        let deep = |unit: &str, count: usize| too_deep(&unit.repeat(count)).is_some();
        for unit in [
            "(",
            "[",
            "{a:",
            "!",
            "-",
            "1 + ",
            "a && ",
            "a || ",
            "if a then b else ",
            "when { a } ",
            ".a",
            ".a(b, c)",
            "(a.b ",
        ] {
            assert!(deep(unit, DEEPEST + 1), "{unit}");
            assert!(!deep(unit, DEEPEST / 3), "{unit}");
        }
        for unit in [
            "\"((&&\", ",
            "a.b(c.d), ",
            "// ((((\n",
            "permit (a, b, c) when { a.b.c && d };\n",
            "\"\\\"((\", ",
        ] {
            assert!(!deep(unit, 100_000), "{unit}");
        }
    }
}
