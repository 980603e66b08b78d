//! What can go wrong in a store, as the callers tell it apart.

/// Why a store operation failed. Engines' own words are kept for the log and never shown to
/// clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A unique constraint: the row exists. `constraint` names table and columns or the index.
    #[error("unique constraint `{constraint}`")]
    Unique {
        /// `table.column[, table.column]` on SQLite, the constraint's name on PostgreSQL.
        constraint: String,
    },
    /// A foreign key: the row referred to is missing, or is still referred to.
    #[error("foreign key constraint")]
    ForeignKey,
    /// A CHECK or NOT NULL constraint.
    #[error("check constraint: {0}")]
    Check(String),
    /// A conflict with another transaction; running again may succeed. Handled by `Store::write`.
    #[error("conflict with another transaction")]
    Retry,
    /// The engine cannot be reached, the pool is exhausted, or it timed out.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The disk is full. Nothing was written.
    #[error("the disk is full")]
    Full,
    /// The directory or the file cannot be written.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The file is damaged or is no database.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The schema is newer than this program, or is not Doorward's.
    #[error("{0}")]
    Schema(String),
    /// A row that no code of ours writes.
    #[error("column {column} of a row is not {wanted}")]
    Inconsistent {
        /// The column's index in its query.
        column: usize,
        /// What was wanted.
        wanted: &'static str,
    },
    /// Anything else.
    #[error("store: {0}")]
    Other(String),
}
