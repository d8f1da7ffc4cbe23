//! Each script of tests/scripts that needs no pretend clock is one test on the real program, with SQLite and over sockets.

fn run(path: &str, text: &str) {
    testkit::on_binary(env!("CARGO_BIN_EXE_linnet"), path, text);
}

testkit::each_script_with_a_real_clock!(run);
