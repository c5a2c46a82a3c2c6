//! Small work on words: splitting a command line as Docker Compose does, and finding the word that was
//! probably meant. No shell is ever involved, and nothing here knows a Compose key.

/// Splits a command line into words: blanks separate, single quotes keep all, double quotes all but
/// backslash escapes, a backslash keeps the next character. `Err` names what is not closed.
pub(crate) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a single quote"),
                    }
                }
            }
            '"' => quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("an escape"),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    loop {
        match chars.next() {
            Some('"') => return Ok(()),
            Some('\\') => match chars.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some('\n') => {}
                Some(c) => word.extend(['\\', c]),
                None => return Err("a double quote"),
            },
            Some(c) => word.push(c),
            None => return Err("a double quote"),
        }
    }
}

/// The candidate nearest to `word`, when it is near enough to be what was meant.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    if word.len() > 64 {
        return None;
    }
    let folded = word.to_lowercase().replace('-', "_");
    let allowed = 1 + folded.chars().count() / 4;
    candidates
        .map(|c| {
            let candidate = c.to_lowercase().replace('-', "_");
            // A word cut short (`mem` for `memory`) is as near as a slip of one letter.
            let cut_short = folded.len() >= 3 && candidate.starts_with(&folded);
            (if cut_short { 1 } else { distance(&folded, &candidate) }, c)
        })
        .filter(|(d, _)| *d <= allowed)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// `; did you mean ..?`, or nothing.
pub(crate) fn hint<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> String {
    nearest(word, candidates).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default()
}

/// The message about a word that is none of those that a key takes.
pub(crate) fn choice<'c>(
    key: &str,
    word: &str,
    words: impl Iterator<Item = &'c str> + Clone,
) -> String {
    let all = words.clone().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
    let hint = hint(word, words);
    let word = crate::complaint::shown(word);
    format!("`{key}`: expected one of {all}, found `{word}`{hint}")
}

/// Edit distance with swaps of neighbours (optimal string alignment; Boytsov 2011, §2.2).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = last[j] + usize::from(a[i] != b[j]);
            let mut best = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_15_a_command_line_is_split_without_a_shell() {
        let split = |s| split(s).map(|w| w.join("|"));
        assert_eq!(split("nginx -g 'daemon off;'"), Ok("nginx|-g|daemon off;".into()));
        assert_eq!(split(r#"sh -c "echo \"$HOME\" \n""#), Ok(r#"sh|-c|echo "$HOME" \n"#.into()));
        assert_eq!(split(r"a\ b '' c"), Ok("a b||c".into()));
        assert_eq!(split("echo $(reboot) ; ls | wc"), Ok("echo|$(reboot)|;|ls|||wc".into()));
        assert_eq!(split("  "), Ok(String::new()));
        assert_eq!(split("echo 'x"), Err("a single quote"));
        assert_eq!(split("echo \"x"), Err("a double quote"));
    }

    #[test]
    fn the_word_that_was_meant_is_found() {
        let keys = ["volumes", "volumes_from", "image", "ports", "stop_grace_period"];
        let near = |w| nearest(w, keys.into_iter());
        assert_eq!(near("volume"), Some("volumes"));
        assert_eq!(near("imgae"), Some("image"));
        assert_eq!(near("stopGracePeriod"), Some("stop_grace_period"));
        assert_eq!(near("stop-grace-period"), Some("stop_grace_period"));
        assert_eq!(near("vol"), Some("volumes"));
        assert_eq!(near("pts"), None);
        assert_eq!(near("frobnicate"), None);
    }
}
