//! Words, as all back ends understand them: how a text falls into words, and which texts a search wants.
//!
//! Case, accents and the width of letters make no difference. A word is a run of letters and digits; in scripts that
//! put no spaces between words (Chinese, Japanese), each character is one, and several of them are looked for together.

use crate::LogRow;
use bytes::Bytes;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Words of one search; further ones are not looked at, since what has all of these is rare enough.
const MAX_WORDS: usize = 32;

/// A word that nobody writes, to be put between texts that are searched as one: no phrase reaches across it. A sign of
/// private use, because an index takes it for a letter.
pub const BREAK: char = '\u{e000}';

/// What is looked for in a log.
#[derive(Debug, Clone)]
pub struct Search {
    /// The words.
    pub words: Words,
    /// The text in which they are looked for, of the body of a row. It always says the same of the same body: what an
    /// index has was read once.
    pub text: fn(&Bytes) -> Option<String>,
}

/// Words that must all be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(Vec<Phrase>);

/// Words that must stand one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// Folded.
    pub words: Vec<String>,
    /// The last word may go on.
    pub prefix: bool,
}

impl Words {
    /// Reads what a person types: words, `"words one after the other"`, and `beginn*` for all words that begin so. Signs
    /// alone are no words; without any word nothing is found.
    pub fn parse(text: &str) -> Words {
        let mut phrases = Vec::new();
        for (place, part) in text.split('"').enumerate() {
            // What stands behind an odd number of quotation marks is quoted, whether or not they are closed.
            if place % 2 == 1 {
                phrases.push(Phrase { words: fold(part).collect(), prefix: part.trim_end().ends_with('*') });
            } else {
                let words = part.split_whitespace();
                phrases.extend(words.map(|word| Phrase { words: fold(word).collect(), prefix: word.ends_with('*') }));
            }
        }
        phrases.retain(|phrase| !phrase.words.is_empty());
        let mut left = MAX_WORDS;
        for phrase in &mut phrases {
            phrase.words.truncate(left);
            left -= phrase.words.len();
        }
        phrases.retain(|phrase| !phrase.words.is_empty());
        Words(phrases)
    }

    /// What must be there.
    pub fn phrases(&self) -> &[Phrase] {
        &self.0
    }

    /// Whether a text has all of them.
    pub fn are_in(&self, text: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let text: Vec<String> = fold(text).collect();
        self.0.iter().all(|phrase| phrase.is_in(&text))
    }
}

impl Phrase {
    fn is_in(&self, text: &[String]) -> bool {
        let Some((last, first)) = self.words.split_last() else { return true };
        text.windows(self.words.len()).any(|window| {
            let (end, start) = (&window[first.len()], &window[..first.len()]);
            start == first && if self.prefix { end.starts_with(last.as_str()) } else { end == last }
        })
    }
}

impl Search {
    /// Whether a row is one of those looked for.
    pub fn finds(&self, row: &LogRow) -> bool {
        (self.text)(&row.body).is_some_and(|text| self.words.are_in(&text))
    }
}

/// A text as [`crate::Write::LogIndex`] takes it: its words, folded, each behind a space. That takes long, and belongs
/// where nobody waits for it; never to the one who writes.
pub fn folded(text: &str) -> Box<str> {
    fold(text).collect::<Vec<_>>().join(" ").into()
}

/// The words of a text, folded.
pub fn fold(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut signs = text.nfkd().flat_map(char::to_lowercase).filter(|sign| !is_accent(*sign)).peekable();
    std::iter::from_fn(move || {
        while signs.next_if(|sign| !is_part_of_word(*sign)).is_some() {}
        let first = signs.next()?;
        let mut word = String::from(first);
        if !stands_alone(first) {
            while let Some(sign) = signs.next_if(|sign| is_part_of_word(*sign) && !stands_alone(*sign)) {
                word.push(sign);
            }
        }
        Some(word)
    })
}

/// Accents of Latin, Greek and Cyrillic letters. Marks of other scripts are vowels and belong to their words.
fn is_accent(sign: char) -> bool {
    matches!(sign, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}')
}

fn is_part_of_word(sign: char) -> bool {
    if sign.is_ascii() {
        sign.is_ascii_alphanumeric()
    } else {
        sign.is_alphanumeric() || is_combining_mark(sign) || sign == BREAK
    }
}

/// Kana, ideographs, and the break.
fn stands_alone(sign: char) -> bool {
    matches!(sign, BREAK | '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_width_make_no_difference() {
        assert_eq!(&*folded("Crème BRÛLÉE, déjà-vu!"), "creme brulee deja vu");
        assert_eq!(&*folded("Ελληνικά ЙОГУРТ"), "ελληνικα иогурт");
        assert_eq!(&*folded("ﬁne Ｗｉｄｅ e\u{301}"), "fine wide e");
        assert_eq!(&*folded("don't 2 <b> \u{1F600} a_b"), "don t 2 b a b");
        assert_eq!(&*folded("हिन्दी"), "हिन्दी");
        assert_eq!(&*folded("東京に行く tokyo"), "東 京 に 行 く tokyo");
        assert_eq!(&*folded(" \n\u{300}…"), "");
    }

    #[test]
    fn all_words_must_be_there() {
        let finds = |words: &str, text: &str| Words::parse(words).are_in(text);
        assert!(finds("romeo", "O Romeo, Romeo!") && finds("wherefore ROMEO", "Romeo, wherefore art thou"));
        assert!(!finds("romeo juliet", "O Romeo") && !finds("rome", "O Romeo"));
        assert!(finds("rome*", "O Romeo") && !finds("omeo*", "O Romeo") && finds("rome* o", "O Romeo"));
        assert!(finds("\"art thou\"", "wherefore art thou") && !finds("\"thou art\"", "wherefore art thou"));
        assert!(finds("\"art th*", "wherefore art thou Romeo") && finds("\"\" thou", "art thou"));
        assert!(finds("京都", "東京と京都") && !finds("都京", "東京と京都"));
        assert!(finds("don't", "I don’t know"), "several words of one are looked for together");
        assert!(!finds("don't", "t don"));
    }

    #[test]
    fn signs_alone_find_nothing_and_many_words_are_bounded() {
        for text in ["", "*", "\"", "\"\"", "?! -", "AND OR NOT".get(..0).unwrap()] {
            assert!(!Words::parse(text).are_in("anything * \""), "{text}");
        }
        let many = "word ".repeat(10_000);
        assert_eq!(Words::parse(&many).phrases().len(), MAX_WORDS);
        let quoted = format!("\"{many}\"");
        assert_eq!(Words::parse(&quoted).phrases()[0].words.len(), MAX_WORDS);
    }
}
