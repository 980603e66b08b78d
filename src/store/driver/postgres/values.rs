//! Values by the type of their column, and errors by their SQLSTATE.

use std::error::Error;

use ::postgres::error::SqlState;
use ::postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use bytes::BytesMut;
use uuid::Uuid;

use crate::domain::Timestamp;
use crate::store::{StoreError, Val};

/// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH_2000: i64 = 946_684_800_000_000;

type Failure = Box<dyn Error + Sync + Send>;

/// A parameter, sent as the type its place in the statement has.
#[derive(Debug)]
pub(super) struct Param<'v>(pub(super) &'v Val);

impl ToSql for Param<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        fn send<T: ToSql>(value: &T, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
            if T::accepts(kind) {
                value.to_sql(kind, out)
            } else {
                Err(format!("a parameter of another kind is wanted: {kind}").into())
            }
        }
        match (self.0, kind) {
            (Val::Null, _) => Ok(IsNull::Yes),
            (Val::Bool(value), _) => send(value, kind, out),
            (Val::Int(value), &Type::INT4) => send(&i32::try_from(*value)?, kind, out),
            (Val::Int(value), &Type::INT2) => send(&i16::try_from(*value)?, kind, out),
            (Val::Int(value), _) => send(value, kind, out),
            (Val::Text(value), _) => send(&value.as_str(), kind, out),
            (Val::Bytes(value), &Type::UUID) => send(&Uuid::from_slice(value)?, kind, out),
            (Val::Bytes(value), _) => send(&value.as_slice(), kind, out),
            (Val::Uuid(value), &Type::BYTEA) => send(&value.as_bytes().as_slice(), kind, out),
            (Val::Uuid(value), _) => send(value, kind, out),
            (Val::Time(value), &Type::TIMESTAMPTZ) => {
                let micros = value
                    .unix_micros()
                    .checked_sub(EPOCH_2000)
                    .ok_or("a time is out of range")?;
                out.extend_from_slice(&micros.to_be_bytes());
                Ok(IsNull::No)
            }
            (Val::Time(_), _) => Err(format!("a time was given where {kind} is wanted").into()),
            (Val::TextArray(values), _) => send(values, kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A column, read by its type.
#[derive(Debug)]
pub(super) struct Column(pub(super) Val);

impl<'r> FromSql<'r> for Column {
    fn from_sql(kind: &Type, raw: &'r [u8]) -> Result<Self, Failure> {
        let value = match *kind {
            Type::BOOL => Val::Bool(bool::from_sql(kind, raw)?),
            Type::INT2 => Val::Int(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Val::Int(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Val::Int(i64::from_sql(kind, raw)?),
            Type::UUID => Val::Uuid(Uuid::from_sql(kind, raw)?),
            Type::BYTEA => Val::Bytes(raw.to_vec()),
            Type::TEXT_ARRAY => Val::TextArray(Vec::from_sql(kind, raw)?),
            Type::TIMESTAMPTZ => {
                let micros = i64::from_be_bytes(raw.try_into()?);
                Val::Time(Timestamp::from_unix_micros(
                    micros
                        .checked_add(EPOCH_2000)
                        .ok_or("a time is out of range")?,
                ))
            }
            _ if <&str as FromSql<'_>>::accepts(kind) => {
                Val::Text(<&str as FromSql<'_>>::from_sql(kind, raw)?.to_owned())
            }
            _ => return Err(format!("columns of type {kind} are not read").into()),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Self(Val::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// PostgreSQL's errors as callers tell them apart.
pub(super) fn failed(error: &::postgres::Error) -> StoreError {
    let Some(refusal) = error.as_db_error() else {
        if error.is_closed()
            || error
                .source()
                .is_some_and(<dyn Error>::is::<std::io::Error>)
        {
            return StoreError::Unavailable(error.to_string());
        }
        let source = error
            .source()
            .map(|source| format!(": {source}"))
            .unwrap_or_default();
        return StoreError::Other(format!("{error}{source}"));
    };
    let text = refusal.message().to_owned();
    let code = refusal.code();
    match code.code() {
        _ if *code == SqlState::UNIQUE_VIOLATION => StoreError::Unique {
            constraint: refusal.constraint().unwrap_or_default().to_owned(),
        },
        _ if *code == SqlState::FOREIGN_KEY_VIOLATION => StoreError::ForeignKey,
        // Values that a column cannot take: SQLite has CHECK constraints for the same.
        "23502" | "23514" | "22001" | "22003" | "22021" | "22P02" | "22P05" | "P0001" => {
            StoreError::Check(text)
        }
        "40001" | "40P01" | "55P03" => StoreError::Retry,
        "0A000" if text.contains("cached plan") => StoreError::Retry,
        "53100" => StoreError::Full,
        "25006" => StoreError::ReadOnly(text),
        "XX001" | "XX002" => StoreError::Corrupt(text),
        "3D000" => StoreError::Unavailable(text),
        state if matches!(state.get(..2), Some("08" | "53" | "57" | "58" | "28")) => {
            StoreError::Unavailable(text)
        }
        state => StoreError::Other(format!("{state}: {text}")),
    }
}
