//! Values that stand still: what policies write out, what entities and contexts hold.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::sync::LazyLock;

use cedar_policy_core::ast::{
    EntityUID, ExprKind, Literal, Name, PartialValue, RepresentableExtensionValue, RestrictedExpr,
    Value as CedarValue, ValueKind,
};
use cedar_policy_core::extensions::Extensions;

use crate::domain::Uid;

/// An entity by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) type_name: Box<str>,
    pub(crate) id: Box<str>,
}

impl Named {
    pub(crate) fn of(uid: &EntityUID) -> Self {
        let id: &str = uid.eid().as_ref();
        Self { type_name: uid.entity_type().to_string().into(), id: id.into() }
    }
}

impl From<&Uid> for Named {
    fn from(uid: &Uid) -> Self {
        Self { type_name: uid.type_name().into(), id: uid.id().into() }
    }
}

/// A value. The order is that of the variants first: it means nothing beyond that equal values, and they alone,
/// are in no order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Constant {
    Bool(bool),
    Long(i64),
    Text(Box<str>),
    Entity(Named),
    /// INVARIANT: sorted, without repetition.
    Set(Box<[Constant]>),
    /// INVARIANT: sorted by name.
    Record(Box<[(Box<str>, Constant)]>),
    /// Milliseconds since the Unix epoch.
    Datetime(i64),
    /// Milliseconds.
    Duration(i64),
    /// Ten-thousandths.
    Decimal(i64),
    Ip(Ip),
}

/// Names with their values, sorted by name.
pub(crate) type Row = Box<[(Box<str>, Constant)]>;

/// The row of these values. `None`: some value is not known here.
pub(super) fn row<'v, N: AsRef<str> + 'v, V: 'v>(
    values: impl Iterator<Item = (&'v N, &'v V)>,
    constant: impl Fn(&V) -> Option<Constant>,
) -> Option<Row> {
    let value = |(name, value): (&'v N, _)| Some((name.as_ref().into(), constant(value)?));
    let mut row: Vec<(Box<str>, Constant)> = values.map(value).collect::<Option<_>>()?;
    row.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Some(row.into())
}

/// An address, or all addresses with the same first `prefix` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ip {
    address: IpAddr,
    prefix: u8,
}

impl Constant {
    /// The value that Cedar holds. `None`: it is of a kind that is not known here, such as an unknown.
    pub(crate) fn of(value: &CedarValue) -> Option<Self> {
        Some(match value.value_kind() {
            ValueKind::Lit(Literal::Bool(truth)) => Self::Bool(*truth),
            ValueKind::Lit(Literal::Long(number)) => Self::Long(*number),
            ValueKind::Lit(Literal::String(text)) => Self::Text(text.as_str().into()),
            ValueKind::Lit(Literal::EntityUID(uid)) => Self::Entity(Named::of(uid)),
            ValueKind::Set(set) => Self::set(set.iter().map(Self::of).collect::<Option<_>>()?),
            ValueKind::Record(fields) => Self::Record(row(fields.iter(), Self::of)?),
            ValueKind::ExtensionValue(value) => Self::extension(value)?,
        })
    }

    /// As [`Constant::of`], of a value that might have been unknown.
    pub(crate) fn of_partial(value: &PartialValue) -> Option<Self> {
        match value {
            PartialValue::Value(value) => Self::of(value),
            PartialValue::Residual(_) => None,
        }
    }

    /// The set of these values.
    pub(crate) fn set(mut values: Vec<Self>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self::Set(values.into())
    }

    /// The record of these fields, whose names differ.
    pub(crate) fn record(mut fields: Vec<(Box<str>, Self)>) -> Self {
        fields.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Self::Record(fields.into())
    }

    fn extension(value: &RepresentableExtensionValue) -> Option<Self> {
        let name = value.typename();
        let cedar = CedarValue::new(ValueKind::ExtensionValue(value.clone().into()), None);
        match name.to_string().as_str() {
            "datetime" => {
                let epoch = call("datetime", &[CedarValue::from("1970-01-01")])?;
                Some(Self::Datetime(milliseconds(call("durationSince", &[cedar, epoch])?)?))
            }
            "duration" => Some(Self::Duration(milliseconds(cedar)?)),
            "decimal" => Some(Self::Decimal(ten_thousandths(&written(value)?)?)),
            "ipaddr" => Some(Self::Ip(Ip::parse(&written(value)?)?)),
            _ => None,
        }
    }

    /// Whether it is, or holds, an entity.
    pub(crate) fn names_an_entity(&self) -> bool {
        match self {
            Self::Entity(_) => true,
            Self::Set(members) => members.iter().any(Self::names_an_entity),
            Self::Record(fields) => fields.iter().any(|(_, value)| value.names_an_entity()),
            Self::Bool(_)
            | Self::Long(_)
            | Self::Text(_)
            | Self::Datetime(_)
            | Self::Duration(_)
            | Self::Decimal(_)
            | Self::Ip(_) => false,
        }
    }

    /// How this is to a text in the order of constants.
    pub(crate) fn cmp_text(&self, text: &str) -> Ordering {
        match self {
            Self::Text(own) => (**own).cmp(text),
            Self::Bool(_) | Self::Long(_) => Ordering::Less,
            Self::Entity(_)
            | Self::Set(_)
            | Self::Record(_)
            | Self::Datetime(_)
            | Self::Duration(_)
            | Self::Decimal(_)
            | Self::Ip(_) => Ordering::Greater,
        }
    }
}

/// As a policy would write it out.
impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |f: &mut fmt::Formatter<'_>, brackets: [&str; 2], parts: &[String]| {
            let [open, close] = brackets;
            write!(f, "{open}{}{close}", parts.join(", "))
        };
        match self {
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Long(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{}\"", text.escape_debug()),
            Self::Entity(name) => write!(f, "{}::\"{}\"", name.type_name, name.id.escape_debug()),
            Self::Set(members) => {
                listed(f, ["[", "]"], &members.iter().map(ToString::to_string).collect::<Vec<_>>())
            }
            Self::Record(fields) => {
                let field =
                    |(name, value): &(Box<str>, Self)| format!("\"{}\": {value}", name.escape_debug());
                listed(f, ["{", "}"], &fields.iter().map(field).collect::<Vec<_>>())
            }
            Self::Datetime(moment) => write!(f, "datetime, {moment} ms"),
            Self::Duration(span) => write!(f, "duration, {span} ms"),
            Self::Decimal(number) => write!(f, "decimal, {number} / 10000"),
            Self::Ip(Ip { address, prefix }) => write!(f, "ip(\"{address}/{prefix}\")"),
        }
    }
}

/// What Cedar's function makes of these values. `None`: it fails.
pub(super) fn called(function: &Name, arguments: &[CedarValue]) -> Option<CedarValue> {
    match Extensions::all_available().func(function).ok()?.call(arguments).ok()? {
        PartialValue::Value(value) => Some(value),
        PartialValue::Residual(_) => None,
    }
}

/// As [`called`], by the function's name.
fn call(function: &str, arguments: &[CedarValue]) -> Option<CedarValue> {
    called(&function.parse().ok()?, arguments)
}

fn milliseconds(duration: CedarValue) -> Option<i64> {
    match call("toMilliseconds", &[duration])?.value_kind() {
        ValueKind::Lit(Literal::Long(number)) => Some(*number),
        ValueKind::Lit(_) | ValueKind::Set(_) | ValueKind::Record(_) | ValueKind::ExtensionValue(_) => None,
    }
}

/// The text from which Cedar makes this value.
fn written(value: &RepresentableExtensionValue) -> Option<String> {
    let call = RestrictedExpr::from(value.clone());
    let ExprKind::ExtensionFunctionApp { args, .. } = call.expr_kind() else { return None };
    let ExprKind::Lit(Literal::String(text)) = args.first()?.expr_kind() else { return None };
    Some(text.to_string())
}

/// A decimal that Cedar has read, such as `-1.05`.
fn ten_thousandths(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.')?;
    let part = format!("{part:0<4}");
    format!("{whole}{part}").parse().ok()
}

impl Ip {
    /// An address or range that Cedar has read.
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        Some(Self { address, prefix: prefix.unwrap_or(if address.is_ipv4() { 32 } else { 128 }) })
    }

    pub(crate) fn is_v4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether all of it is loopback.
    pub(crate) fn is_loopback(&self) -> bool {
        self.address.is_loopback() && self.prefix >= if self.is_v4() { 8 } else { 128 }
    }

    /// Whether all of it is multicast.
    pub(crate) fn is_multicast(&self) -> bool {
        self.address.is_multicast() && self.prefix >= if self.is_v4() { 4 } else { 8 }
    }

    /// The first and the last address.
    fn span(&self) -> (u128, u128) {
        let (bits, width) = match self.address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let free = 128_u32 - width + u32::from(self.prefix).min(width);
        // The bits after the prefix, of those that an address of this width has.
        let host = u128::MAX.checked_shr(free).unwrap_or(0);
        (bits & !host, bits | host)
    }

    /// Whether all of it is in the other.
    pub(crate) fn is_in_range(&self, other: &Self) -> bool {
        let ((first, last), (from, to)) = (self.span(), other.span());
        self.is_v4() == other.is_v4() && from <= first && last <= to
    }
}

/// The names of the constructors of extension values.
pub(crate) static CONSTRUCTORS: LazyLock<Vec<Name>> = LazyLock::new(|| {
    ["ip", "decimal", "datetime", "duration"].into_iter().filter_map(|name| name.parse().ok()).collect()
});
