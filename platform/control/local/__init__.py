"""The platform on one machine, without Docker: embedded services, processes, the demo, the smoke test."""
