//! On a real cluster: the lab that `make lab-up` makes.

#![allow(clippy::disallowed_methods, reason = "tests do what people and controllers would do")]
#![allow(clippy::print_stderr, reason = "a test that is passed over says so")]
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]
#![expect(unreachable_pub, reason = "the test's own modules have no readers outside")]

mod install;
