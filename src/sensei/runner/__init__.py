"""The conductor: the only code that moves a migration between states."""
