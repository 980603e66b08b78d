//! Tests: stack.
