//! Reading configurations, right and wrong ones.

use super::*;

fn read(text: &str) -> Config {
    Config::parse("linnet.toml", text).unwrap()
}

fn refused(text: &str) -> String {
    Config::parse("linnet.toml", text).unwrap_err().to_string()
}

#[test]
fn an_empty_file_serves_this_machine() {
    let config = read("");
    assert_eq!(config.domain_names(), ["localhost"]);
    assert!(config.listen.iter().all(|listen| listen.address.ip().is_loopback() && listen.by_default));
    assert!(!config.registration);
    let ports: Vec<u16> = config.listen.iter().map(|listen| listen.address.port()).collect();
    assert_eq!(ports, [5222, 5222, 5223, 5223, 5443, 5443, 5280, 5280]);
    assert_eq!(config.web.as_deref(), Some("https://localhost:5443"));
}

#[test]
fn archives_keep_everything_unless_days_are_said() {
    assert_eq!(read("").archive_days, 0);
    assert_eq!(read("[archive]\nkeep_days = 30").archive_days, 30);
    assert!(refused("[archive]\nkeep_days = 5000000000").contains("0 to keep everything"));
    assert!(refused("[archive]\nkeep_days = -1").contains("keep_days"));
}

#[test]
fn another_domain_listens_everywhere() {
    let config = read("domain = 'example.org'\ndomains = ['example.net', 'example.org']");
    assert_eq!(config.domain_names(), ["example.org", "example.net"]);
    assert!(config.listen.iter().all(|listen| listen.address.ip().is_unspecified()));
    assert_eq!(config.web.as_deref(), Some("https://example.org:5443"));
}

#[test]
fn addresses_of_files_begin_where_others_reach_the_server() {
    let web = |text: &str| read(text).web;
    assert_eq!(web("[http]\nurl = 'https://files.example.org/'").as_deref(), Some("https://files.example.org"));
    let idn = web("domain = 'bücher.example'\n[listen]\nhttps = ['0.0.0.0:443']");
    assert_eq!(idn.as_deref(), Some("https://xn--bcher-kva.example"));
    assert_eq!(web("[listen]\nhttps = []").as_deref(), Some("http://localhost:5280"));
    assert_eq!(web("domain = 'example.org'\n[listen]\nhttps = []\nhttp = ['127.0.0.1:5280']"), None);
    for url in ["example.org", "https://", "ftp://example.org", "https://a b", "https://a'b", "https:///x"] {
        assert!(refused(&format!("[http]\nurl = \"{url}\"")).contains("is not a URL"), "{url}");
    }
}

#[test]
fn files_are_kept_as_is_said() {
    let config = read("[files]\nsize = 5\nquota = 10\nkeep_days = 0");
    assert_eq!((config.files.size, config.files.quota, config.files.keep), (5, 10, None));
    assert!(config.s3.is_none());
    let s3 = read("[s3]\nbucket = 'b'\naccess_key = 'a'\nsecret_key = 's'").s3.unwrap();
    assert_eq!((s3.bucket.as_str(), s3.region.as_str(), s3.endpoint), ("b", "us-east-1", None));
    assert!(refused("[s3]\nbucket = 'b'").contains("linnet.toml:2: [s3] needs"));
    assert!(refused("[s3]\nendpoint = 'x'").contains("is not a URL"));
    assert!(refused("[files]\nkeep_days = 1000000").contains("between 0 and"));
}

#[test]
fn unknown_keys_are_errors_with_a_hint() {
    assert_eq!(refused("\ndomian = 'x'"), "linnet.toml:2: unknown key 'domian': did you mean 'domain'?");
    assert_eq!(refused("[listn]\nc2s=[]"), "linnet.toml:1: unknown key 'listn': did you mean 'listen'?");
    assert_eq!(
        refused("[listen]\nc2s = []\nc2s_tsl = []"),
        "linnet.toml:3: unknown key 'c2s_tsl' in [listen]: did you mean 'c2s_tls'?"
    );
    assert!(refused("stanza_size = 3").contains("belongs to [limits]"));
    assert!(refused("[limits]\ndomain = 'x'").contains("belongs to the top"));
    assert!(refused("zzzzzzzz = 3").contains("check --keys"));
}

#[test]
fn wrong_values_are_errors_with_their_line() {
    for (text, wanted) in [
        ("domain = 3", "linnet.toml:1: 'domain' must be a text"),
        ("\n\ndomain = 'a b'", "linnet.toml:3: 'a b' is not a domain"),
        ("listen = 3", "begin it with [listen]"),
        ("[listen]\nc2s = ['5222']", "linnet.toml:2: '5222' is not an address with a port"),
        ("[listen]\nc2s = '127.0.0.1:5222'", "must be a list"),
        ("registration = 'yes'", "true or false"),
        ("admins = ['localhost']", "is not an address"),
        ("log = 'loud'", "error, warn, info, debug or trace"),
        ("log_format = 'xml'", "text or json"),
        ("[limits]\nstanza_size = 5", "between 10000 and"),
        ("[limits]\nstanza_size = -5", "not negative"),
        ("[limits]\nexempt = ['x']", "is not a network"),
        ("[tls]\nkey = 'x'", "no certificate"),
        ("[contacts]\nabuse = ['a@b']", "mailto:a@b"),
        ("domain = ", "linnet.toml:1: this is not TOML"),
    ] {
        let error = refused(text);
        assert!(error.contains(wanted), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn plaintext_is_for_this_machine() {
    let config = read("[listen]\nplaintext = ['127.0.0.1:5555', '[::1]:5555']");
    assert_eq!(config.listen.iter().filter(|listen| listen.kind == Kind::Plaintext).count(), 2);
    assert!(refused("[listen]\nplaintext = ['0.0.0.0:5555']").contains("only 127.0.0.1 and [::1]"));
    assert!(refused("[listen]\nplaintext = ['192.0.2.1:5555']").starts_with("linnet.toml:2"));
    assert!(refused("[listen]\nhttp = ['0.0.0.0:80']").contains("'http'"));
}

#[test]
fn documentation_is_current() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/generated/config.md");
    if std::env::var_os("LINNET_GENERATE").is_some() {
        std::fs::write(file, keys::document()).unwrap();
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(found == keys::document(), "docs/generated/config.md is stale: run LINNET_GENERATE=1 cargo test -p linnet");
}
