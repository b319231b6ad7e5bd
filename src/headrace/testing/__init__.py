"""What others need to test their own parts: conformance suites for the ports, and helpers."""
