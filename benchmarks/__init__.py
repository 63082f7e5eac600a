"""What is measured, against what. Never part of the tests: numbers depend on the machine."""
