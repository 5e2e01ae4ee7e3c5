//! The `sasl.*` keys and the login module in them.

use crate::clients::kafka::settings::Credentials;
use crate::clients::kafka::settings::SaslSettings;
use crate::clients::kafka::settings::jaas;
use crate::clients::kafka::settings::jaas::Login;
use crate::clients::kafka::settings::keys::MECHANISMS;
use crate::clients::kafka::settings::keys::holds_secret;
use crate::clients::kafka::settings::oauth;
use crate::clients::kafka::settings::reader::Reader;
use crate::formats::place::Place;
use crate::formats::secret::remember;
use crate::formats::suggest::nearest;

const PLAIN_MODULE: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM_MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";
const OAUTH_MODULE: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
    OAuthBearer,
}

impl Mechanism {
    fn module(self) -> &'static str {
        match self {
            Self::Plain => PLAIN_MODULE,
            Self::ScramSha256 | Self::ScramSha512 => SCRAM_MODULE,
            Self::OAuthBearer => OAUTH_MODULE,
        }
    }
}

/// A login module and the place of each byte of it.
pub(super) struct PlacedLogin {
    /// What it says.
    pub login: Login,
    /// Where it begins.
    pub place: Place,
    places: Vec<Place>,
}

impl PlacedLogin {
    /// Where an option stands.
    pub(super) fn place_of(&self, name: &str) -> Place {
        let index = self.login.options.iter().position(|option| option.name == name);
        index.and_then(|index| self.places.get(index)).unwrap_or(&self.place).clone()
    }
}

/// Reads the mechanism and its credentials; `protocol_place` is where SASL was asked for. None after a fault.
pub(super) fn read(reader: &mut Reader, protocol_place: &Place) -> Option<SaslSettings> {
    let mechanism = mechanism(reader, protocol_place)?;
    let login = login(reader, mechanism, protocol_place)?;
    if mechanism == Mechanism::OAuthBearer {
        return oauth::read(reader, &login).map(SaslSettings::OAuthBearer);
    }
    if let Some(value) = reader.get("sasl.login.callback.handler.class") {
        let place = value.place();
        reader.fault(
            place,
            "`sasl.login.callback.handler.class`: Java classes can't be loaded",
            "give username and password",
        );
        return None;
    }
    let credentials = credentials(reader, &login, mechanism)?;
    Some(match mechanism {
        Mechanism::ScramSha256 => SaslSettings::ScramSha256(credentials),
        Mechanism::ScramSha512 => SaslSettings::ScramSha512(credentials),
        _ => SaslSettings::Plain(credentials),
    })
}

fn mechanism(reader: &mut Reader, protocol_place: &Place) -> Option<Mechanism> {
    let Some(value) = reader.get("sasl.mechanism") else {
        if reader.has_told_of("sasl.mechanism") {
            return None;
        }
        let what =
            "SASL is asked for without `sasl.mechanism`: Java would take GSSAPI (Kerberos), which is not supported";
        reader.fault(protocol_place.clone(), what, MECHANISMS);
        return None;
    };
    let (place, text) = (value.place(), value.text.clone());
    match text.as_str() {
        "PLAIN" => Some(Mechanism::Plain),
        "SCRAM-SHA-256" => Some(Mechanism::ScramSha256),
        "SCRAM-SHA-512" => Some(Mechanism::ScramSha512),
        "OAUTHBEARER" => Some(Mechanism::OAuthBearer),
        "GSSAPI" => {
            reader.fault(place, "`sasl.mechanism` is GSSAPI: Kerberos is not supported", MECHANISMS);
            None
        }
        "AWS_MSK_IAM" => {
            reader.fault(place, "`sasl.mechanism` is AWS_MSK_IAM, which is not supported", MECHANISMS);
            None
        }
        other => {
            let names = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
            let hint = nearest(other, names).map_or(MECHANISMS.to_owned(), |near| format!("did you mean {near}?"));
            reader.fault(place, "`sasl.mechanism` is not supported", &hint);
            None
        }
    }
}

fn login(reader: &mut Reader, mechanism: Mechanism, protocol_place: &Place) -> Option<PlacedLogin> {
    let Some(value) = reader.get("sasl.jaas.config") else {
        if reader.has_told_of("sasl.jaas.config") {
            return None;
        }
        let what = "SASL is asked for without `sasl.jaas.config`";
        let hint = format!("add sasl.jaas.config={} required …;", mechanism.module());
        reader.fault(protocol_place.clone(), what, &hint);
        return None;
    };
    let parsed = jaas::parse(&value.text);
    match parsed {
        Ok(login) => {
            for option in login.options.iter().filter(|option| holds_secret(&option.name)) {
                remember(option.value.clone());
            }
            let places = login.options.iter().map(|option| value.place_at(option.offset)).collect();
            let login = PlacedLogin { place: value.place_at(login.offset), places, login };
            check_module(reader, mechanism, &login).then_some(login)
        }
        Err(wrong) => {
            let place = value.place_at(wrong.offset);
            reader.fault(place, format!("`sasl.jaas.config`: {}", wrong.what), &wrong.hint);
            None
        }
    }
}

fn check_module(reader: &mut Reader, mechanism: Mechanism, login: &PlacedLogin) -> bool {
    let module = login.login.module.as_str();
    if module == mechanism.module() {
        return true;
    }
    let what = if module.ends_with("Krb5LoginModule") {
        "`sasl.jaas.config`: Kerberos is not supported".to_owned()
    } else if [PLAIN_MODULE, SCRAM_MODULE, OAUTH_MODULE].contains(&module) {
        "`sasl.jaas.config` has the login module of another mechanism than `sasl.mechanism`".to_owned()
    } else {
        "`sasl.jaas.config` has a login module that is not supported: Java classes can't be loaded".to_owned()
    };
    reader.fault(login.place.clone(), what, &format!("here it would be {}", mechanism.module()));
    false
}

fn credentials(reader: &mut Reader, login: &PlacedLogin, mechanism: Mechanism) -> Option<Credentials> {
    const KNOWN: [&str; 2] = ["username", "password"];
    let count = reader.faults.len();
    for option in &login.login.options {
        let name = option.name.as_str();
        let place = login.place_of(name);
        let is_scram = mechanism != Mechanism::Plain;
        if is_scram && name == "tokenauth" && option.value.eq_ignore_ascii_case("true") {
            reader.fault(place, "`sasl.jaas.config`: delegation tokens are not supported", "use a user and a password");
        } else if name.starts_with("user_") || name == "serviceName" || (is_scram && name == "tokenauth") {
            reader.note(place, "`sasl.jaas.config`: this option is ignored: no client needs it".to_owned());
        } else if !KNOWN.contains(&name) {
            // The name is not shown: after a lost quote it may be a piece of the password.
            let hint = jaas::hint_for_option(name, &KNOWN);
            reader.fault(place, "`sasl.jaas.config`: no such option of this login module", &hint);
        }
    }
    for name in KNOWN {
        if login.login.get(name).is_none_or(str::is_empty) && reader.faults.len() == count {
            let what = format!("`sasl.jaas.config` has no {name}");
            reader.fault(login.place.clone(), what, &format!("add {name}=\"…\" before the `;`"));
        }
    }
    if reader.faults.len() > count {
        return None;
    }
    let get = |name| login.login.get(name).unwrap_or_default().to_owned();
    Some(Credentials { username: get("username"), password: remember(get("password")), place: login.place.clone() })
}
