"""Who may do what over HTTP: tokens, cookies, hosts and origins, limits. Machines without I/O."""
