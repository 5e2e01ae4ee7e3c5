//! One document into a serde type: the first fault, with its place, ends it.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::formats::place::{Fault, Faults, Place};
use crate::formats::suggest::nearest;
use crate::formats::yaml::node::{short, shown_key};
use crate::formats::yaml::{Entry, Node, Origin, Scalar, Value, documents};

/// Reads a text of one document. [`Placed`](crate::formats::place::Placed) fields get the place of their value; an empty text reads as `{}`.
pub fn read<T: DeserializeOwned>(source: &str, text: &str) -> Result<T, Faults> {
    let origin = Origin::new(source);
    let (mut documents, faults) = documents(&origin, text);
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    if let Some(second) = documents.get(1) {
        let fault = Fault::new(second.place.clone(), "a second document starts here; this file has only one");
        return Err(Faults(vec![fault.with_hint("remove the `---` before it")]));
    }
    let empty = Node { place: origin.place(1, 1), value: Value::Map(Vec::new()) };
    let node = documents.pop().unwrap_or(empty);
    T::deserialize(&node).map_err(|wrong| Faults(vec![wrong.into_fault(&node.place)]))
}

/// What serde found wrong; it gets its place on the way up.
#[derive(Debug)]
pub struct Wrong {
    place: Option<Place>,
    message: String,
    hint: Option<String>,
}

impl Wrong {
    fn new(node: &Node<'_>, expected: &str) -> Self {
        Self {
            place: Some(node.place.clone()),
            message: format!("expected {expected}, found {}", node.found()),
            hint: None,
        }
    }

    fn at(mut self, place: &Place) -> Self {
        self.place.get_or_insert_with(|| place.clone());
        self
    }

    fn into_fault(self, place: &Place) -> Fault {
        let Self { place, message, hint } = self.at(place);
        Fault { place: place.unwrap_or_else(|| Origin::new("?").place(1, 1)), message, hint }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl serde::de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { place: None, message: message.to_string(), hint: None }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::custom(format_args!("expected {expected}, found {unexpected}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let hint = match nearest(field, expected.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known fields: {}", expected.join(", ")),
        };
        Self { place: None, message: format!("unknown field {}", shown_key(field)), hint: Some(hint) }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("expected one of {}, found `{}`", expected.join(", "), short(variant));
        let hint = nearest(variant, expected.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
        Self { place: None, message, hint }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("the field `{field}` is missing"))
    }
}

fn scalar<'n, 'a>(node: &'n Node<'a>, expected: &str) -> Result<&'n Scalar<'a>, Wrong> {
    node.scalar().filter(|scalar| !scalar.is_null()).ok_or_else(|| Wrong::new(node, expected))
}

macro_rules! whole_numbers {
    ($($method:ident $type:ty, $visit:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let number = self.scalar().and_then(Scalar::whole).ok_or_else(|| Wrong::new(self, "a whole number"))?;
            let number = <$type>::try_from(number).map_err(|_| {
                Wrong::new(self, &format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX))
            })?;
            visitor.$visit(number).map_err(|wrong: Wrong| wrong.at(&self.place))
        })*
    };
}

impl<'de> Deserializer<'de> for &Node<'_> {
    type Error = Wrong;

    whole_numbers! {
        deserialize_i8 i8, visit_i8;
        deserialize_i16 i16, visit_i16;
        deserialize_i32 i32, visit_i32;
        deserialize_i64 i64, visit_i64;
        deserialize_u8 u8, visit_u8;
        deserialize_u16 u16, visit_u16;
        deserialize_u32 u32, visit_u32;
        deserialize_u64 u64, visit_u64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => visitor.visit_unit(),
            Value::Scalar(scalar) => match (scalar.flag(), scalar.whole()) {
                (Some(flag), _) => visitor.visit_bool(flag),
                (_, Some(whole)) => visitor.visit_i64(whole),
                _ => visitor.visit_str(&scalar.text),
            },
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), now: None }),
            Value::Broken => visitor.visit_unit(),
        }
        .map_err(|wrong: Wrong| wrong.at(&self.place))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let flag = self.scalar().and_then(Scalar::flag).ok_or_else(|| Wrong::new(self, "true or false"))?;
        visitor.visit_bool(flag)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let number = scalar(self, "a number")?.text.parse::<f64>().ok().filter(|number| number.is_finite());
        visitor.visit_f64(number.ok_or_else(|| Wrong::new(self, "a number"))?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(&scalar(self, "a text")?.text).map_err(|wrong: Wrong| wrong.at(&self.place))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self).map_err(|wrong: Wrong| wrong.at(&self.place))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.value {
            Value::List(_) => self.deserialize_any(visitor),
            _ => Err(Wrong::new(self, "a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.value {
            Value::Map(_) => self.deserialize_any(visitor),
            _ => Err(Wrong::new(self, "a mapping")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if name == "Placed" && fields == ["value", "place"] {
            return visitor.visit_map(PlacedParts { node: self, next: 0 });
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let access = match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => Variant { name: &scalar.text, node: self, content: None },
            Value::Map(entries) if entries.len() == 1 => {
                Variant { name: &entries[0].key, node: self, content: Some(&entries[0].value) }
            }
            _ => return Err(Wrong::new(self, &format!("one of {}", variants.join(", ")))),
        };
        visitor.visit_enum(access).map_err(|wrong: Wrong| wrong.at(&self.place))
    }

    forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct tuple tuple_struct ignored_any
    }
}

struct Items<'n, 'a>(std::slice::Iter<'n, Node<'a>>);

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some(node) = self.0.next() else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|wrong| wrong.at(&node.place))
    }
}

struct Entries<'n, 'a> {
    rest: std::slice::Iter<'n, Entry<'a>>,
    now: Option<&'n Entry<'a>>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.now = self.rest.next();
        let Some(entry) = self.now else { return Ok(None) };
        let key: StrDeserializer<'_, Wrong> = (&*entry.key).into_deserializer();
        seed.deserialize(key).map(Some).map_err(|wrong| wrong.at(&entry.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let Some(entry) = self.now else { return Err(serde::de::Error::custom("a value before its key")) };
        seed.deserialize(&entry.value).map_err(|wrong| wrong.at(&entry.value.place))
    }
}

/// Shows a node to the type `Placed` as the two fields that it has.
struct PlacedParts<'n, 'a> {
    node: &'n Node<'a>,
    next: usize,
}

impl<'de> MapAccess<'de> for PlacedParts<'_, '_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some(name) = ["value", "place"].get(self.next).copied() else { return Ok(None) };
        self.next += 1;
        let key: StrDeserializer<'_, Wrong> = name.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        if self.next == 1 {
            return seed.deserialize(self.node).map_err(|wrong| wrong.at(&self.node.place));
        }
        let Place { source, line, column } = &self.node.place;
        let parts = [("source", Part::Text(source)), ("line", Part::Number(*line)), ("column", Part::Number(*column))];
        seed.deserialize(serde::de::value::MapDeserializer::new(parts.into_iter()))
    }
}

/// A part of a place.
enum Part<'n> {
    Text(&'n str),
    Number(u64),
}

impl IntoDeserializer<'_, Wrong> for Part<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Part<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Text(text) => visitor.visit_str(text),
            Self::Number(number) => visitor.visit_u64(number),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Variant<'n, 'a> {
    name: &'n str,
    node: &'n Node<'a>,
    content: Option<&'n Node<'a>>,
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Wrong> {
        let name: StrDeserializer<'_, Wrong> = self.name.into_deserializer();
        seed.deserialize(name).map(|value| (value, self))
    }
}

impl<'n, 'a> Variant<'n, 'a> {
    fn content(&self) -> Result<&'n Node<'a>, Wrong> {
        self.content.ok_or_else(|| Wrong::new(self.node, "a mapping with one key"))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        self.content.map_or(Ok(()), |content| Err(Wrong::new(content, "nothing")))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Wrong> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.content()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Wrong> {
        self.content()?.deserialize_map(visitor)
    }
}
