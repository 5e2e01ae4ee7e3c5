//! `advertised.listeners` with places to fill in: `PLAINTEXT://{host-ip}:9092`.

use std::fmt;

/// The places that are filled in.
const PLACES: [&str; 4] = ["host-ip", "node-name", "pod-name", "id"];

/// A text with places to fill in; every place of it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(&'static str),
}

/// What the places are filled with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values<'a> {
    /// The node's address; an IPv6 one gets its brackets here.
    pub host_ip: Option<&'a str>,
    /// The node's name.
    pub node_name: Option<&'a str>,
    /// The pod's name.
    pub pod_name: Option<&'a str>,
    /// The broker's id.
    pub id: i32,
}

impl Listeners {
    /// Reads the text. A place that is not known, a space, a quote or a `$` is an error.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control() || "$'\"`\\".contains(c)) {
            return Err(format!("`{text}` is empty, or holds a space, a quote, `\\` or `$`"));
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let known = PLACES.join("}, {");
            let (name, behind) = after.split_once('}').ok_or_else(|| format!("`{text}` has a `{{` without a `}}`"))?;
            let place = PLACES.into_iter().find(|place| *place == name);
            let place = place.ok_or_else(|| format!("`{{{name}}}` is not known; there are {{{known}}}"))?;
            pieces.extend([Piece::Text(before.to_owned()), Piece::Place(place)]);
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// Fills the places in; one whose value is not known is an error that names it.
    pub fn filled(&self, values: &Values<'_>) -> Result<String, String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Place(place) => out.push_str(&value(place, values)?),
            }
        }
        Ok(out)
    }
}

fn value(place: &str, values: &Values<'_>) -> Result<String, String> {
    let found = match place {
        "id" => return Ok(values.id.to_string()),
        "host-ip" => values.host_ip,
        "node-name" => values.node_name,
        _ => values.pod_name,
    };
    match found {
        Some(address) if place == "host-ip" && address.contains(':') => Ok(format!("[{address}]")),
        Some(found) => Ok(found.to_owned()),
        None => Err(format!("`{{{place}}}` is not known here: give --{place}, in a pod from the downward API")),
    }
}

impl fmt::Display for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Place(place) => write!(f, "{{{place}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in_and_unknown_ones_are_named() {
        let listeners = Listeners::parse("PLAINTEXT://{host-ip}:9092,SSL://b-{id}.{node-name}:9093").unwrap();
        let values = Values { host_ip: Some("10.0.0.7"), node_name: Some("n1"), pod_name: None, id: 1003 };
        assert_eq!(listeners.filled(&values).unwrap(), "PLAINTEXT://10.0.0.7:9092,SSL://b-1003.n1:9093");
        let six = Values { host_ip: Some("fd00::1"), ..values.clone() };
        assert!(listeners.filled(&six).unwrap().starts_with("PLAINTEXT://[fd00::1]:9092"));
        let none = Values { host_ip: None, ..values };
        assert!(listeners.filled(&none).unwrap_err().contains("`{host-ip}` is not known here"));
        for wrong in ["", "PLAINTEXT://{ip}:9092", "{host-ip", "$(HOST_IP):9092", "a b"] {
            assert!(Listeners::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(listeners.to_string(), "PLAINTEXT://{host-ip}:9092,SSL://b-{id}.{node-name}:9093");
    }
}
