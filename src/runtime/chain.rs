//! Errors told in one line.

use std::error::Error;

/// An error and its causes: the outer one alone says too little (`client error (Connect)`).
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
