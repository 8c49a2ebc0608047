//! The examples are domain files without a word that would be warned of, comments included: a line
//! that is commented out is a setting, too, if the `# ` is taken off.

use std::fs;
use std::path::Path;

use xl::config::{Source, read};

#[test]
fn every_example_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let sources = [Source { name: "example", text: &text }];
        let reading = read(&sources);
        assert_eq!(reading.diagnostics, [], "{}", path.display());
        assert!(reading.domain.is_some());
        count += 1;
    }
    assert!(count >= 2);
}

#[test]
fn what_the_template_offers_can_be_had() {
    let text = include_str!("../../examples/template.cfg");
    let is_setting = |line: &str| {
        let key = line.split(' ').next().unwrap_or("");
        line.contains(" = ") && xl::config::keys::find(key).is_some()
    };
    let mut offered = String::new();
    let mut inside = false;
    for line in text.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        // A list runs to the line with its bracket.
        if is_setting(bare) || inside {
            inside = (inside || bare.ends_with('[')) && !bare.starts_with(']');
            offered.push_str(bare);
            offered.push('\n');
        }
    }
    let sources = [Source { name: "template", text: &offered }];
    let reading = read(&sources);
    let told: String = reading.diagnostics.iter().map(|wrong| wrong.render(&sources)).collect();
    // root, extra and cmdline are alternatives.
    let expected = "warning: root and extra have no effect beside cmdline\n";
    assert!(reading.domain.is_some() && told.lines().count() == 3, "{told}\n{offered}");
    assert!(told.contains(expected), "{told}");
    let domain = reading.domain.unwrap();
    assert_eq!((domain.disks.len(), domain.vifs.len(), domain.max_vcpus), (5, 2, 1));
}
