//! Values as both engines take and give them, and rows of them.

use uuid::Uuid;

use crate::domain::Timestamp;

use super::error::StoreError;

/// A parameter or a column. The column's own type decides how an engine keeps it: UUIDs are `uuid`
/// or a 16-byte BLOB, times are `timestamptz` or integer microseconds, text arrays are `text[]` or
/// JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Val {
    /// SQL NULL.
    Null,
    /// A boolean (SQLite: 0 or 1).
    Bool(bool),
    /// An integer.
    Int(i64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An id.
    Uuid(Uuid),
    /// A point in time.
    Time(Timestamp),
    /// A list of texts (`redirect_uris`).
    TextArray(Vec<String>),
}

macro_rules! from {
    ($($type:ty => $variant:ident($value:ident) $expr:expr;)*) => {$(
        impl From<$type> for Val {
            fn from($value: $type) -> Self {
                Self::$variant($expr)
            }
        }
    )*};
}

from! {
    bool => Bool(value) value;
    i64 => Int(value) value;
    &str => Text(value) value.to_owned();
    String => Text(value) value;
    Vec<u8> => Bytes(value) value;
    &[u8] => Bytes(value) value.to_vec();
    Uuid => Uuid(value) value;
    Timestamp => Time(value) value;
    Vec<String> => TextArray(value) value;
    crate::domain::UserId => Uuid(value) value.as_uuid();
    crate::domain::OrganizationId => Uuid(value) value.as_uuid();
    crate::domain::MemberId => Uuid(value) value.as_uuid();
    crate::domain::RoleId => Uuid(value) value.as_uuid();
    crate::domain::PermissionId => Uuid(value) value.as_uuid();
    crate::domain::ClientId => Uuid(value) value.as_uuid();
    crate::domain::SessionId => Uuid(value) value.as_uuid();
    crate::domain::GrantId => Uuid(value) value.as_uuid();
    crate::domain::SidecarId => Uuid(value) value.as_uuid();
    crate::domain::AccountId => Uuid(value) value.as_uuid();
    crate::domain::InvitationId => Uuid(value) value.as_uuid();
    crate::domain::RegistrationTokenId => Uuid(value) value.as_uuid();
    crate::domain::TokenDigest => Text(value) value.to_hex();
    &crate::domain::ServiceName => Text(value) value.to_string();
    &crate::domain::ResourceName => Text(value) value.to_string();
    &crate::domain::InstanceId => Text(value) value.to_string();
    &crate::domain::ActionName => Text(value) value.to_string();
    &crate::domain::RoleName => Text(value) value.to_string();
    &crate::domain::PermissionKey => Text(value) value.to_string();
    &crate::domain::Slug => Text(value) value.to_string();
    &crate::domain::OrganizationName => Text(value) value.to_string();
    &crate::domain::ClientIdentifier => Text(value) value.to_string();
}

impl<T: Into<Self>> From<Option<T>> for Val {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row, its columns in the order of the query. Getters take the column's index and refuse a
/// value of another kind: a row is never guessed around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Vec<Val>);

impl Row {
    /// From a driver.
    pub const fn new(columns: Vec<Val>) -> Self {
        Self(columns)
    }

    /// The columns.
    pub fn into_columns(self) -> Vec<Val> {
        self.0
    }

    fn column(&self, index: usize) -> Result<&Val, StoreError> {
        self.0.get(index).ok_or(StoreError::Inconsistent {
            column: index,
            wanted: "a column",
        })
    }

    /// Whether the column is NULL.
    pub fn is_null(&self, index: usize) -> bool {
        matches!(self.0.get(index), Some(Val::Null))
    }

    /// An integer.
    pub fn int(&self, index: usize) -> Result<i64, StoreError> {
        match self.column(index)? {
            Val::Int(value) => Ok(*value),
            _ => Err(StoreError::Inconsistent {
                column: index,
                wanted: "an integer",
            }),
        }
    }

    /// A boolean; SQLite's 0 and 1 count.
    pub fn bool(&self, index: usize) -> Result<bool, StoreError> {
        match self.column(index)? {
            Val::Bool(value) => Ok(*value),
            Val::Int(0) => Ok(false),
            Val::Int(1) => Ok(true),
            _ => Err(StoreError::Inconsistent {
                column: index,
                wanted: "a boolean",
            }),
        }
    }

    /// Text.
    pub fn text(&self, index: usize) -> Result<&str, StoreError> {
        match self.column(index)? {
            Val::Text(value) => Ok(value),
            _ => Err(StoreError::Inconsistent {
                column: index,
                wanted: "text",
            }),
        }
    }

    /// Text or NULL.
    pub fn optional_text(&self, index: usize) -> Result<Option<&str>, StoreError> {
        if self.is_null(index) {
            Ok(None)
        } else {
            self.text(index).map(Some)
        }
    }

    /// Text that is a domain name or value.
    pub fn parse<T: std::str::FromStr>(&self, index: usize) -> Result<T, StoreError> {
        self.text(index)?
            .parse()
            .map_err(|_| StoreError::Inconsistent {
                column: index,
                wanted: std::any::type_name::<T>(),
            })
    }

    /// Bytes.
    pub fn bytes(&self, index: usize) -> Result<&[u8], StoreError> {
        match self.column(index)? {
            Val::Bytes(value) => Ok(value),
            _ => Err(StoreError::Inconsistent {
                column: index,
                wanted: "bytes",
            }),
        }
    }

    /// An id; SQLite's 16 bytes count.
    pub fn uuid(&self, index: usize) -> Result<Uuid, StoreError> {
        match self.column(index)? {
            Val::Uuid(value) => Ok(*value),
            Val::Bytes(bytes) => Uuid::from_slice(bytes).map_err(|_| StoreError::Inconsistent {
                column: index,
                wanted: "an id",
            }),
            _ => Err(StoreError::Inconsistent {
                column: index,
                wanted: "an id",
            }),
        }
    }

    /// A point in time; SQLite's integer microseconds count.
    pub fn time(&self, index: usize) -> Result<Timestamp, StoreError> {
        match self.column(index)? {
            Val::Time(value) => Ok(*value),
            Val::Int(micros) => Ok(Timestamp::from_unix_micros(*micros)),
            _ => Err(StoreError::Inconsistent {
                column: index,
                wanted: "a time",
            }),
        }
    }

    /// A point in time or NULL.
    pub fn optional_time(&self, index: usize) -> Result<Option<Timestamp>, StoreError> {
        if self.is_null(index) {
            Ok(None)
        } else {
            self.time(index).map(Some)
        }
    }

    /// A list of texts; SQLite's JSON text counts.
    pub fn text_array(&self, index: usize) -> Result<Vec<String>, StoreError> {
        match self.column(index)? {
            Val::TextArray(values) => Ok(values.clone()),
            Val::Text(json) => serde_json::from_str(json).map_err(|_| StoreError::Inconsistent {
                column: index,
                wanted: "a list of texts",
            }),
            _ => Err(StoreError::Inconsistent {
                column: index,
                wanted: "a list of texts",
            }),
        }
    }
}
