//! The heart: owners, lanes, commit, dispatch, the route.
