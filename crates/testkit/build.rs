//! Makes one test of each file in tests/scripts: the macro `each_script!` calls a function with path and text of each.

use std::{env, fmt::Write, fs, path::Path};

fn main() {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo says it")).join("../../tests/scripts");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("tests/scripts is there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let mut text = String::from(
        "/// Makes a test of each script: it calls the function with the script's path and text.\n\
         #[macro_export]\nmacro_rules! each_script {\n    ($run:path) => {\n",
    );
    for path in paths {
        let path = path.canonicalize().expect("a path");
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let path = path.display();
        writeln!(text, "#[test] fn {name}() {{ $run(\"{path}\", include_str!(\"{path}\")) }}")
            .expect("a string takes all");
    }
    text.push_str("    };\n}\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo says it")).join("scripts.rs");
    fs::write(out, text).expect("OUT_DIR takes files");
}
