//! Pages (AuthZEN 1.0 §8.2).

use consentry::policy::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::serve::app::Limits;
use crate::serve::problem::Problem;

/// Which part of the results is wanted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "SearchPage")]
pub(super) struct Page {
    token: Option<String>,
    #[schemars(range(max = 4_294_967_295_u32))]
    limit: Option<u32>,
}

/// Which part was given.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PageAnswer {
    next_token: String,
    count: usize,
}

/// What was asked, as a digest: a token is for the next page of the same search.
#[derive(Debug)]
pub(super) struct Token(String);

/// Hexadecimal digits of the digest that are kept.
const DIGITS: usize = 32;

impl Token {
    pub(super) fn over(search: &str, asked: &impl Serialize) -> Result<Self, Problem> {
        let text =
            serde_json::to_vec(&(search, asked)).map_err(|error| Problem::internal(error.to_string()))?;
        let mut digits = hex(&Sha256::digest(text));
        digits.truncate(DIGITS);
        Ok(Self(digits))
    }

    /// A token for what comes after `last`, with so many results a page.
    fn after(&self, last: Option<&str>, limit: usize) -> String {
        let last = last.map(|last| hex(last.as_bytes())).unwrap_or_else(|| "-".to_owned());
        format!("{}.{limit}.{last}", self.0)
    }

    /// What the token says: after what, and how many results a page.
    fn read(&self, token: &str) -> Option<(Option<String>, usize)> {
        let mut parts = token.split('.');
        let (asked, limit, last) = (parts.next()?, parts.next()?, parts.next()?);
        if asked != self.0 || parts.next().is_some() {
            return None;
        }
        let last = if last == "-" { None } else { Some(String::from_utf8(unhex(last)?).ok()?) };
        Some((last, limit.parse().ok()?))
    }
}

impl Page {
    /// The span of the search for this page.
    pub(super) fn span(page: Option<&Self>, asked: &Token, limits: &Limits) -> Result<Span, Problem> {
        let limit = page
            .and_then(|page| page.limit)
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX).min(limits.search_page));
        let token = page.and_then(|page| page.token.as_deref()).filter(|token| !token.is_empty());
        let (after, before) = match token {
            None => (None, None),
            Some(token) => {
                let (after, before) = asked.read(token).ok_or_else(|| {
                    Problem::invalid(
                        "`page.token` is not of this search: nothing but the token may change between pages",
                    )
                })?;
                (after, Some(before.min(limits.search_page)))
            }
        };
        if let (Some(limit), Some(before)) = (limit, before)
            && limit != before
        {
            return Err(Problem::invalid(format!(
                "`page.limit` was {before}: it may not change between pages"
            )));
        }
        let found = limit.or(before).unwrap_or(limits.search_page);
        Ok(Span { after, found, asked: limits.search_candidates })
    }
}

impl PageAnswer {
    /// What to say about the page: nothing, if nobody asked for one and this is all there is. `next` is after what
    /// there may be more.
    pub(super) fn of(
        page: Option<&Page>,
        next: Option<Option<String>>,
        count: usize,
        limit: usize,
        asked: &Token,
    ) -> Option<Self> {
        if page.is_none() && next.is_none() {
            return None;
        }
        let next_token = next.map(|last| asked.after(last.as_deref(), limit)).unwrap_or_default();
        Some(Self { next_token, count })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}
