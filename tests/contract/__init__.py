"""One behavioural suite for every transport; a package, so that it can share its clusters."""
