"""What every Penstock service stands on: event log, bus, objects, health, telemetry, testing."""
