"""What every test folder shares: the options and fixtures of the simulated bus."""

pytest_plugins = ["penstock_chassis.testing.plugin"]
