//! Files that are made to take long: what they cost grows with their length and no faster.

use std::time::Duration;

use crate::support::toolbox::Toolbox;

/// What a megabyte may take in a build without optimisation beside other work; the square of its length takes minutes.
const LIMIT: Duration = Duration::from_secs(30);

const MIB: usize = 1 << 20;

#[test]
fn a_megabyte_of_properties_is_read_in_seconds_whatever_is_in_it() {
    let toolbox = Toolbox::alone();
    let lines = |line: &dyn Fn(usize) -> String| {
        let mut text = String::new();
        for number in 0.. {
            if text.len() > MIB - 100 {
                break;
            }
            text.push_str(&line(number));
        }
        text
    };
    let texts = [
        ("secrets", lines(&|number| format!("a{number}.password=secret-{number}\n"))),
        ("keys", lines(&|number| format!("a{number}=\n"))),
        ("lines", "x\n".repeat(MIB / 2)),
        ("bootstrap", format!("bootstrap.servers={}\n", lines(&|number| format!("a{number}:1,")))),
        ("no brokers", format!("bootstrap.servers={}\n", "x,".repeat(MIB / 2 - 20))),
        ("references", format!("client.id={}\n", "${".repeat(MIB / 2 - 20))),
        ("names", format!("client.id={}\n", "${a:b}".repeat(MIB / 6 - 20))),
        ("providers", format!("config.providers={}\n", lines(&|number| format!("p{number},")))),
        (
            "jaas",
            format!(
                "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=M required {};\n",
                lines(&|number| format!("o{number}=x "))
            ),
        ),
        ("escapes", format!("client.id={}\n", "\\u0041".repeat(MIB / 6 - 20))),
        ("continued", format!("client.id={}\n", "a\\\n".repeat(MIB / 3 - 20))),
    ];
    for (name, text) in texts {
        let file = toolbox.file("c.properties", &text);
        // Nobody listens there: the file is read, and then nobody is reached.
        let line =
            ["topics", "list", "--command-config", &file, "--bootstrap-server", "127.0.0.1:1", "--timeout", "1s"];
        let ran = toolbox.run(&line);
        assert!(ran.took < LIMIT, "{name}: {:?}", ran.took);
        assert!(ran.code.is_some_and(|code| code != 0 && code != 101), "{name}: {:?} {:.2000}", ran.code, ran.err);
        assert!(ran.err.len() < MIB, "{name}: {} bytes are said", ran.err.len());
    }
}
