"""Other projects' own tests, run against ours."""
