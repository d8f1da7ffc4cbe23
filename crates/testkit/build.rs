//! Makes one test of each file in tests/scripts: the macros call a function with path and text of each.

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

fn main() {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo says it")).join("../../tests/scripts");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("tests/scripts is there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| (fs::read_to_string(&path).expect("a script is text"), path);
    let scripts: Vec<(String, PathBuf)> = paths.into_iter().map(read).collect();
    let all = scripts.iter().map(|(_, path)| path);
    let mut text = tests("each_script", "of each script", all);
    let real = scripts.iter().filter(|(text, _)| !text.contains("\nonly in process:")).map(|(_, path)| path);
    text.push_str(&tests("each_script_with_a_real_clock", "of each script that needs no pretend clock", real));
    let out = Path::new(&env::var("OUT_DIR").expect("cargo says it")).join("scripts.rs");
    fs::write(out, text).expect("OUT_DIR takes files");
}

fn tests<'a>(macro_name: &str, which: &str, paths: impl Iterator<Item = &'a PathBuf>) -> String {
    let mut text = format!(
        "/// Makes a test {which}: it calls the function with the script's path and text.\n\
         #[macro_export]\nmacro_rules! {macro_name} {{\n    ($run:path) => {{\n"
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
    text
}
