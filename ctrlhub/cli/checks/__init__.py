"""What ``ctrl-hub doctor`` looks at. Each module reads some facts, and judges them in functions of their own."""
