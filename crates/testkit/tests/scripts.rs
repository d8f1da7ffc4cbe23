//! Each script of tests/scripts is one test, on a server in the same thread with a store in memory.

testkit::each_script!(testkit::in_process);
